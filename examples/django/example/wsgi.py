"""What gunicorn runs."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")
application = get_wsgi_application()
# Django reads its routes at the first request; read now, they load the model at once.
assert get_resolver().url_patterns
