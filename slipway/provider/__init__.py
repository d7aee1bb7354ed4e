"""Components for Pulumi programs of other languages: a component provider."""
