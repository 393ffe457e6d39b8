"""Defines what gunicorn serves, `api.wsgi:app`. It is imported in the worker, after gevent has patched the library."""

from sentry_sdk.integrations.flask import FlaskIntegration

from api import create_app
from shared.settings import ApiSettings, load
from shared.telemetry import sentry, tracing
from shared.telemetry.logs import set_up_logging

settings = load(ApiSettings)
set_up_logging(settings)
tracing.start(settings, "web")
sentry.start(settings, [FlaskIntegration()], trusts_parent_sampling=False)
app = create_app(settings)
