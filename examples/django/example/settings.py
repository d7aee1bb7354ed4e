"""Django's settings: no database, no sessions, JSON in and out."""

ROOT_URLCONF = "example.urls"
ALLOWED_HOSTS = ["*"]  # the gateway's routes say which hosts there are
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "model_server.adapters.django.RequestErrors",
]
LOGGING_CONFIG = None  # logs go where gunicorn's go, as JSON
