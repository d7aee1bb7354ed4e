"""The project's routes, the model server's contract among them."""

from __future__ import annotations

from django.urls import path
from model_server.adapters.django import predictor_urls

from example import views

urlpatterns = [*predictor_urls(views.predictor), path("score", views.score)]
