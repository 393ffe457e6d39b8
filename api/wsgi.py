"""What gunicorn serves: `api.wsgi:app`. Imported in the worker, after gevent has patched the library."""

from api import create_app
from shared.settings import ApiSettings, load
from shared.telemetry import set_up_logging

settings = load(ApiSettings)
set_up_logging(settings)
app = create_app(settings)
