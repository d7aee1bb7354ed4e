"""The reusable component resources and the facts they rest on."""
