// Command compose-tools does in a container what Kubernetes does beside it: it fills a
// volume from an image that holds nothing but files, gives a folder to a user, and asks
// a program whether it is well. One static program, so that any image can run it.
//
//	compose-tools copy SOURCE TARGET   copies what no mount covers; what is there stays
//	compose-tools own FOLDER USER      makes USER (a number) and its group the owner
//	compose-tools get URL [SECONDS]    GET over plain HTTP; status 0 if it answers 2xx
package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const partSuffix = ".compose-tools-part"

// engineFiles are made in each container by the engine, whatever the image holds.
var engineFiles = map[string]bool{"/.dockerenv": true, "/etc/mtab": true}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compose-tools:", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	switch {
	case len(words) == 3 && words[0] == "copy":
		return copyTree(words[1], words[2])
	case len(words) == 3 && words[0] == "own":
		user, err := strconv.Atoi(words[2])
		if err != nil {
			return fmt.Errorf("%q is not a user's number", words[2])
		}
		return os.Chown(words[1], user, user)
	case len(words) == 2 && words[0] == "get":
		return get(words[1], "5")
	case len(words) == 3 && words[0] == "get":
		return get(words[1], words[2])
	case len(words) == 0:
		return nil // The container is only there to fill a volume with this program.
	}
	return fmt.Errorf("%q is no command: copy SOURCE TARGET, own FOLDER USER, get URL", words)
}

// copyTree leaves out what is mounted, the target among it, and what the engine adds.
func copyTree(source, target string) error {
	mounted, err := mounts()
	if err != nil {
		return err
	}
	count := 0
	err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if mounted[path] && path != source {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.IsDir() || engineFiles[path] {
			return nil
		}
		relative, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		count++
		return place(path, filepath.Join(target, relative), entry)
	})
	if err == nil && count == 0 {
		err = fmt.Errorf("%s holds no file", source)
	}
	return err
}

// place makes one file whole or not at all, so that a run that was cut off is made up.
func place(source, target string, entry fs.DirEntry) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	part := target + partSuffix
	os.Remove(part)
	if entry.Type()&fs.ModeSymlink != 0 {
		to, err := os.Readlink(source)
		if err != nil {
			return err
		}
		if err := os.Symlink(to, part); err != nil {
			return err
		}
		return os.Rename(part, target)
	}
	if !entry.Type().IsRegular() {
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if there, err := os.Lstat(target); err == nil && there.Size() == info.Size() {
		return nil
	}
	if err := write(source, part); err != nil {
		return err
	}
	return os.Rename(part, target)
}

func write(source, target string) error {
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Sync()
}

// mounts are the mount points of this container (proc_pid_mountinfo(5), fifth field).
func mounts() (map[string]bool, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		if words := strings.Fields(line); len(words) > 4 {
			found[words[4]] = true
		}
	}
	return found, nil
}

// get speaks HTTP itself: net/http would make the program three times as large.
func get(address, seconds string) error {
	limit, err := strconv.Atoi(seconds)
	if err != nil {
		return fmt.Errorf("%q is not a number of seconds", seconds)
	}
	at, err := url.Parse(address)
	if err != nil || at.Scheme != "http" || at.Port() == "" {
		return fmt.Errorf("%q is no address: http://host:port/path", address)
	}
	timeout := time.Duration(limit) * time.Second
	connection, err := net.DialTimeout("tcp", at.Host, timeout)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		at.RequestURI(), at.Host)
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(line)
	if len(words) < 2 || !strings.HasPrefix(words[1], "2") {
		return fmt.Errorf("%s answers %q", address, strings.TrimSpace(line))
	}
	return nil
}
