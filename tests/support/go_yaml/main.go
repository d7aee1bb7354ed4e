// Reads texts, each YAML and written as JSON, and answers each with what Pulumi's engine
// and Kubernetes make of it: {"engine": ..., "kubernetes": ...}, or {"error": ...}.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	engine "gopkg.in/yaml.v3"
	kubernetes "sigs.k8s.io/yaml"
)

func read(text string, unmarshal func([]byte, any) error) any {
	var content any
	if err := unmarshal([]byte(text), &content); err != nil {
		return map[string]string{"error": err.Error()}
	}
	return plain(content)
}

// plain is what JSON can carry: keys as text, and the type of each value beside it.
func plain(content any) any {
	switch value := content.(type) {
	case map[string]any:
		found := map[string]any{}
		for key, item := range value {
			found[key] = plain(item)
		}
		return found
	case map[any]any:
		found := map[string]any{}
		for key, item := range value {
			found[fmt.Sprint(key)] = plain(item)
		}
		return found
	case []any:
		found := []any{}
		for _, item := range value {
			found = append(found, plain(item))
		}
		return found
	case string:
		return []any{"text", value}
	}
	return []any{fmt.Sprintf("%T", content), fmt.Sprint(content)}
}

func main() {
	questions, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var text string
		if questions.Decode(&text) != nil {
			return
		}
		answer := map[string]any{
			"engine": read(text, engine.Unmarshal),
			"kubernetes": read(text, func(b []byte, v any) error {
				return kubernetes.Unmarshal(b, v)
			}),
		}
		if answers.Encode(answer) != nil {
			return
		}
	}
}
