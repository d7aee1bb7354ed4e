"""The model console: web pages of what the model monitor and Alertmanager know."""
