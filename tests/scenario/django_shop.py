"""A shop made with Django, its first migration and the ones that follow."""

from __future__ import annotations

DJANGO = {
    "requirements.txt": "django\ngunicorn\n",
    "Procfile": "release: python3 manage.py migrate\nweb: gunicorn shop.wsgi --bind 127.0.0.1:$PORT\n",
    "gitdeploy.toml": '[health]\npath = "/cakes"\n',
    "manage.py": """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "shop/__init__.py": "",
    "shop/settings.py": """
import os
SECRET_KEY = os.environ.get("SECRET_KEY", "none yet")
ALLOWED_HOSTS = [os.environ["GITDEPLOY_SITE"] + ".localhost"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(os.environ["GITDEPLOY_DATA"], "shop.db"),
}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
""",
    "shop/wsgi.py": """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
""",
    "shop/models.py": """
from django.db import models

class Cake(models.Model):
    name = models.CharField(max_length=50)
""",
    "shop/urls.py": """
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from shop.models import Cake

@csrf_exempt
def cakes(request):
    if request.method == "POST":
        Cake.objects.create(name=request.body.decode())
    return HttpResponse(" ".join(SHOWN for cake in Cake.objects.order_by("id")))

urlpatterns = [path("cakes", cakes)]
""".replace("SHOWN", "cake.name"),
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.CreateModel(name="Cake", fields=[
        ("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(max_length=50)),
    ])]
""",
}
PRICES = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.AddField("cake", "price", models.IntegerField(default=3, db_default=3))]
"""

ANY_DATABASE = """
import os, urllib.parse
SECRET_KEY = "none"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["shop"]
_url = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
if _url.scheme == "sqlite":
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _url.path[1:]}}
else:
    DATABASES = {"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": _url.path[1:], "HOST": _url.hostname, "PORT": _url.port,
        "USER": _url.username, "PASSWORD": urllib.parse.unquote(_url.password),
    }}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
"""`shop/settings.py` for the database that `DATABASE_URL` names."""
NOTED = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.AddField("cake", "note", models.CharField(max_length=50, default="none", db_default="none")),
    ]
"""
TITLES = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("shop", "0002_note")]
    operations = [migrations.RenameField("cake", "name", "title"), migrations.RemoveField("cake", "note"),
                  migrations.AddField("cake", "price", models.IntegerField(default=3, db_default=3))]
"""
DOWN = """
for app in shop; do
    last=$(ls $GITDEPLOY_DOWN_CODE/$app/migrations | grep '^[0-9]' | sort | tail -n 1)
    python3 manage.py migrate $app ${last%.py}
done
"""
"""A shell script: back to the last migration that the older code has."""
