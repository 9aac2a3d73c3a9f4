"""What each kind of file becomes: the file on the left, golive's tables on the right."""

from __future__ import annotations

from golive.importers.compose import import_compose
from golive.importers.dotenv import import_env
from golive.importers.fly import import_fly
from golive.importers.heroku import import_app_json
from golive.importers.next_config import import_next
from golive.importers.nixpacks import import_nixpacks
from golive.importers.places import inside, line, listening, service_name
from golive.importers.procfile import import_procfile
from golive.importers.railpack import import_railpack
from golive.importers.railway import import_railway
from golive.importers.render import import_render
from golive.importers.report import Imported
from golive.importers.vercel import import_vercel


def lost(imported: Imported) -> set[str]:
    return {entry.path for entry in imported.lost}


COMPOSE = """
name: shop
x-env: &env {LOG_LEVEL: info, PORT: "8000"}
services:
  api:
    build: {context: ./backend, dockerfile: Dockerfile, args: {A: b}}
    command: ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
    ports: ["127.0.0.1:9000:8000", "9001:9001"]
    environment: {<<: *env, DATABASE_URL: "postgres://u:p@db/x", JWT_SECRET: abc, DEBUG: "${DEBUG:-false}"}
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8000/ready"], interval: 10s, retries: 5}
    restart: unless-stopped
    deploy: {replicas: 2, resources: {limits: {memory: 512M, cpus: "0.5"}}}
    volumes: ["./backend:/app"]
  worker:
    build: backend
    command: sh -c "celery -A app worker"
  db: {image: "postgis/postgis:16-3.4", volumes: ["data:/var/lib"], environment: {POSTGRES_PASSWORD: p}}
  cache: {image: "redis:7-alpine"}
  mail: {image: mailhog/mailhog, ports: ["8025:8025"]}
volumes: {data: {}}
"""


def test_compose() -> None:
    found = import_compose(COMPOSE)
    assert found.proposal["name"] == "shop"
    assert found.proposal["resources"] == {
        "db": {"engine": "postgres", "version": 16},
        "cache": {"engine": "redis", "version": 7},
    }
    api = found.proposal["services"]["api"]
    assert api == {
        "source": "backend",
        "kind": "web",
        "command": "uvicorn main:app --host 127.0.0.1 --port $PORT",
        "health": {"ready": {"path": "/ready", "interval": "10s", "failures": 5}},
        "scale": 2,
        "limits": {"memory": "512MB", "cpu": 0.5},
        "restart": "always",
    }
    assert found.proposal["services"]["worker"]["command"] == "celery -A app worker"
    assert found.proposal["env"]["JWT_SECRET"] == {"type": "secret", "generate": True, "for": ["api"]}
    assert found.proposal["env"]["DEBUG"] == {"type": "bool", "default": False, "for": ["api"]}
    assert {"services.mail", "services.api.ports[1]", "services.api.volumes", "services.api.build.dockerfile"} <= lost(
        found
    )
    assert "services.db.environment.POSTGRES_PASSWORD" not in str(found.proposal)


def test_one_variable_of_two_services_with_two_values_is_a_constant_of_the_second() -> None:
    text = "services:\n" + "".join(
        f"  {name}:\n    build: {name}\n    ports: ['80']\n    environment: [MODE={name}, SAME=1]\n"
        for name in ("a", "b")
    )
    found = import_compose(text).proposal
    assert found["env"]["MODE"] == {"type": "string", "default": "a", "for": ["a"]}
    assert found["services"]["b"]["env"] == {"MODE": "b"}
    assert found["env"]["SAME"]["for"] == ["a", "b"]


def test_a_file_below_the_root_names_folders_from_where_it_stands() -> None:
    text = "services: {api: {build: ../backend, ports: ['80']}, own: {build: {dockerfile: x}, ports: ['81']}}"
    services = import_compose(text, "deploy/docker-compose.yml").proposal["services"]
    assert {name: service["source"] for name, service in services.items()} == {"api": "backend", "own": "deploy"}


def test_procfile() -> None:
    found = import_procfile(
        "web: gunicorn app:app\r\nworker: celery -A app worker\nrelease: python manage.py migrate\n# x\n?\n"
    )
    assert found.proposal["services"] == {
        "web": {"kind": "web", "source": ".", "command": "gunicorn app:app --bind 127.0.0.1:$PORT"},
        "worker": {"kind": "worker", "source": ".", "command": "celery -A app worker"},
    }
    assert next(entry.to for entry in found.carried if entry.path == "release").startswith("migrations")
    assert lost(found) == {'"line 5"'}


def test_render() -> None:
    found = import_render(
        """
services:
- type: web
  name: My API
  runtime: python
  rootDir: api
  plan: starter
  buildCommand: pip install -r requirements.txt
  startCommand: gunicorn app.main:app -b 0.0.0.0:$PORT
  healthCheckPath: /healthz
  scaling: {minInstances: 1, maxInstances: 3, targetCPUPercent: 70}
  envVars:
  - {key: DATABASE_URL, fromDatabase: {name: main, property: connectionString}}
  - {key: SECRET_KEY, generateValue: true}
  - {key: OPENAI_API_KEY, sync: false}
  - {key: LOG_LEVEL, value: info}
- {type: cron, name: nightly, schedule: "0 3 * * *", startCommand: python job.py, runtime: python}
- type: web
  name: site
  runtime: static
  buildCommand: npm run build
  staticPublishPath: ./dist
  routes:
  - {type: rewrite, source: /*, destination: /index.html}
  - {type: redirect, source: /old/*, destination: /new/*}
  headers: [{path: /*, name: X-A, value: b}]
- {type: keyvalue, name: cache, maxmemoryPolicy: allkeys-lru, ipAllowList: []}
databases:
- {name: main, postgresMajorVersion: "16", plan: free}
"""
    )
    services = found.proposal["services"]
    assert services["my-api"]["command"] == "gunicorn app.main:app -b 127.0.0.1:$PORT"
    assert services["my-api"]["scale"] == {"min": 1, "max": 3, "cpu": "70%"}
    assert services["my-api"]["health"] == {"ready": {"path": "/healthz"}}
    assert services["nightly"] == {"source": ".", "kind": "cron", "command": "python job.py", "schedule": "0 3 * * *"}
    assert services["site"]["spa"] is True
    assert services["site"]["build"] == {"output": "dist", "command": "npm run build"}
    assert services["site"]["redirects"] == [{"source": "/old/(.*)", "destination": "/new/$1"}]
    assert services["site"]["headers"] == [{"source": "/(.*)", "headers": {"X-A": "b"}}]
    assert found.proposal["resources"]["cache"]["eviction"] == "allkeys-lru"
    assert found.proposal["resources"]["main"] == {"engine": "postgres", "version": 16}
    assert found.proposal["env"]["SECRET_KEY"]["generate"] is True
    assert found.proposal["env"]["OPENAI_API_KEY"] == {"type": "secret", "required": False, "for": ["my-api"]}
    assert "services[0].plan" in lost(found)


def test_railway() -> None:
    text = '{"deploy": {"startCommand": "node server.js", "healthcheckPath": "health", "healthcheckTimeout": 90,\n'
    text += '"restartPolicyType": "ON_FAILURE", "numReplicas": 2, "region": "x"}, '
    text += '"build": {"buildCommand": "npm run build"}}'
    found = import_railway(text)
    assert found.proposal == {
        "services": {
            "web": {
                "source": ".",
                "build": {"command": "npm run build"},
                "kind": "web",
                "command": "node server.js",
                "health": {"ready": {"path": "/health"}},
                "scale": 2,
                "restart": "on-failure",
            }
        },
        "release": {"ready_timeout": "90s"},
    }
    assert lost(found) == {"deploy.region"}
    cron = import_railway('[deploy]\nstartCommand = "python job.py"\ncronSchedule = "0 1 * * *"\n', "railway.toml")
    assert cron.proposal["services"]["web"]["schedule"] == "0 1 * * *"


def test_nixpacks() -> None:
    text = '[phases.setup]\nnixPkgs = ["a"]\n[phases.build]\ncmds = ["...", "make", "make x"]\n'
    text += '[start]\ncmd = "uvicorn m:a"\n'
    found = import_nixpacks(text, "apps/api/nixpacks.toml")
    service = found.proposal["services"]["web"]
    assert service["source"] == "apps/api"
    assert service["build"] == {"command": "make && make x"}
    assert service["command"] == "uvicorn m:a --host 127.0.0.1 --port $PORT"
    assert lost(found) == {"phases.setup.nixPkgs"}


def test_fly() -> None:
    found = import_fly(
        """
app = "my_app"
primary_region = "fra"
kill_timeout = 30
[env]
LOG_LEVEL = "info"
[processes]
app = "npm start"
jobs = "node worker.js"
[http_service]
internal_port = 3000
force_https = true
min_machines_running = 2
processes = ["app"]
[[http_service.checks]]
path = "/up"
interval = "15s"
method = "GET"
[[vm]]
memory = "1gb"
cpus = 2
[deploy]
release_command = "npx prisma migrate deploy"
[[mounts]]
source = "d"
destination = "/data"
"""
    )
    assert found.proposal["name"] == "my-app"
    assert found.proposal["services"]["app"] == {
        "kind": "web",
        "source": ".",
        "health": {"ready": {"path": "/up", "interval": "15s"}},
        "scale": 2,
        "limits": {"memory": "1GB", "cpu": 2.0},
        "stop_timeout": "30s",
    }
    assert found.proposal["services"]["jobs"]["command"] == "node worker.js"
    assert {"primary_region", "mounts"} <= lost(found) and "deploy.release_command" not in lost(found)


def test_heroku() -> None:
    text = """{"name": "My App", "description": "x", "env": {"SECRET_KEY": {"generator": "secret"}, "A": {"value": "1",
    "description": "How\\n many"}, "NEEDED": {"required": true}}, "addons": ["heroku-postgresql:mini", {"plan":
    "heroku-redis", "options": {"version": "7"}}, "papertrail"], "formation": {"web": {"quantity": 2, "size": "x"},
    "worker": {"quantity": 1}, "gone": {"quantity": 1}}, "scripts": {"postdeploy": "rails db:migrate"}}"""
    found = import_app_json(text, processes={"web": "run", "worker": "work"})
    assert found.proposal["name"] == "my-app"
    assert found.proposal["env"]["SECRET_KEY"] == {"type": "secret", "generate": True}
    assert found.proposal["env"]["A"] == {"type": "int", "default": 1, "description": "How many"}
    assert found.proposal["env"]["NEEDED"] == {"required": True}
    assert found.proposal["resources"] == {"db": {"engine": "postgres"}, "cache": {"engine": "redis", "version": 7}}
    assert found.proposal["services"]["web"]["scale"] == 2
    assert {"addons[2]", "formation.gone", "description"} <= lost(found)


def test_env() -> None:
    found = import_env(
        "# The one key\nexport OPENAI_API_KEY=sk-...\n\nLEVEL='a # b' # why\nEMPTY=\nN=42\nON=true\nURL=https://x.example/a\n"
        'MULTI="one\ntwo"\nDATABASE_URL=postgres://u:p@localhost/x\nREDIS_URL=redis://localhost\nPORT=3000\n'
        "NEXT_PUBLIC_KEY=abc\nJWT_SECRET=change-me\nAPI_URL=http://localhost:8080\nAPP_ENV=development\n"
    )
    env = found.proposal["env"]
    assert env["OPENAI_API_KEY"] == {"type": "secret", "required": False, "description": "The one key"}
    assert env["LEVEL"]["default"] == "a # b"
    assert env["EMPTY"] == {"required": False}
    assert (env["N"], env["ON"]) == ({"type": "int", "default": 42}, {"type": "bool", "default": True})
    assert env["URL"]["type"] == "url"
    assert env["MULTI"]["default"] == "one\ntwo"
    assert env["NEXT_PUBLIC_KEY"]["client"] is True
    assert env["JWT_SECRET"] == {"type": "secret", "generate": True}
    assert set(found.proposal["resources"]) == {"db", "cache"}
    assert env["API_URL"] == {"required": False, "example": "http://localhost:8080"}
    assert env["APP_ENV"]["default"] == "production"
    assert "PORT" not in env
    assert not found.lost


def test_vercel() -> None:
    found = import_vercel(
        """{"$schema": "x", "framework": "vite", "buildCommand": "npm run build", "outputDirectory": "dist",
        "cleanUrls": true, "trailingSlash": false, "regions": ["fra1"], "env": {"VITE_A": "1", "B": "@link"},
        "redirects": [{"source": "/old/:x", "destination": "/new/:x", "permanent": false}],
        "headers": [{"source": "/(.*)", "headers": [{"key": "X-A", "value": "b"}]}],
        "rewrites": [{"source": "/api/:p*", "destination": "https://api.example.com/:p*"},
                     {"source": "/((?!api/).*)", "destination": "/index.html"}],
        "crons": [{"path": "/api/tick", "schedule": "0 * * * *"}], "functions": {"api/*.js": {"maxDuration": 3}}}"""
    )
    assert found.proposal["services"]["web"] == {
        "source": ".",
        "kind": "static",
        "build": {"output": "dist", "command": "npm run build"},
        "redirect_html": True,
        "trailing_slash": False,
        "redirects": [{"source": "/old/:x", "destination": "/new/:x", "status": 307}],
        "spa": True,
        "headers": [{"source": "/(.*)", "headers": {"X-A": "b"}}],
    }
    assert found.proposal["env"] == {
        "VITE_A": {"type": "int", "default": 1, "client": True, "build": True},
        "B": {"required": False},
    }
    assert lost(found) == {"regions", "crons[0]", "functions", "rewrites[0]"}
    assert "another server" in next(e.why for e in found.lost if e.path == "rewrites[0]")
    assert '"Authorization: Bearer $CRON_SECRET" https://<domain>/api/tick' in next(
        e.instead for e in found.lost if e.path == "crons[0]"
    )


def test_railpack() -> None:
    found = import_railpack(
        """{"$schema": "x", "provider": "node", "packages": {"node": "22"}, "deploy": {"startCommand": "node server.js",
        "aptPackages": ["ffmpeg"], "variables": {"MODE": "fast"}}, "steps": {"build": {"commands": ["npm run css"],
        "variables": {"CSS": "min"}}, "install": {"commands": ["..."]}, "other": {"commands": ["true"]}}}"""
    )
    assert found.proposal["services"]["web"] == {
        "source": ".",
        "kind": "web",
        "command": "node server.js",
        "build": {"command": "npm run css", "env": {"CSS": "min"}},
    }
    assert found.proposal["env"]["MODE"]["default"] == "fast"
    assert {"provider", "packages", "deploy.aptPackages", "steps.install.commands", "steps.other"} <= lost(found)
    assert found.accounted == found.keys


def test_rewrites_to_another_server_are_listed_wherever_they_stand() -> None:
    rule = '{"source": "/api/:p*", "destination": "https://api.example.com/:p*"}'
    exported = import_next(f'{{"output": "export", "rewrites": [{rule}]}}')
    site = import_render(
        "services: [{type: web, runtime: static, name: s, staticPublishPath: dist, routes: "
        "[{type: rewrite, source: '/api/*', destination: 'https://api.example.com/*'}]}]"
    )
    for found in (exported, site):
        assert not any("rewrites" in service for service in found.proposal["services"].values())
        assert [e for e in found.lost if "another server" in e.why]
        assert found.accounted == found.keys


def test_a_header_comment_is_about_the_file_and_not_about_its_first_variable() -> None:
    for header in ("# What the server reads.", "# Copyright 2026 Shop Ltd", "# Generated by a tool", "# --- Shop ---"):
        assert "description" not in import_env(f"{header}\nFIRST=1\n").proposal["env"]["FIRST"]
    found = import_env("# What everything is for.\nFIRST=1\n# Licence: MIT\nSECOND=2\n# Seconds to wait.\nWAIT=3\n")
    assert [name for name, entry in found.proposal["env"].items() if "description" in entry] == ["WAIT"]
    about_it = import_env("# Where mail is sent from.\nMAIL_FROM=a\n").proposal["env"]["MAIL_FROM"]
    assert about_it["description"] == "Where mail is sent from."


def test_volumes_of_a_database_are_golives_own_to_keep() -> None:
    text = (
        "services:\n  web: {build: ., ports: ['80'], volumes: ['media:/media']}\n"
        "  db: {image: 'postgres:17', volumes: ['data:/var/lib/postgresql/data']}\nvolumes: {data: {}, media: {}}\n"
    )
    assert {path for path in lost(import_compose(text)) if path.startswith("volumes")} == {"volumes.media"}


def test_legacy_builds_are_services_and_their_routes_are_routes() -> None:
    found = import_vercel(
        """{"version": 2, "builds": [{"src": "backend/app/main.py", "use": "@vercel/python"},
        {"src": "frontend/package.json", "use": "@vercel/static-build", "config": {"distDir": "build"}}],
        "routes": [{"src": "/api/(.*)", "dest": "backend/app/main.py"}, {"src": "/x", "dest": "/other.js"}]}"""
    )
    services = found.proposal["services"]
    assert services["app"] == {"kind": "web", "source": "backend/app", "route": ["/api"]}
    assert services["frontend"]["build"] == {"output": "build", "command": "npm run build"}
    assert lost(found) == {"routes[1]"}


def test_places_commands_and_names() -> None:
    assert inside("apps/web", "../api") == "apps/api"
    assert inside(".", "..") is None
    assert inside("a", "../../etc") is None
    assert listening("gunicorn -b 0.0.0.0:8000 a:b", 8000) == "gunicorn -b 127.0.0.1:$PORT a:b"
    assert listening("node server.js", 3000) == "node server.js"
    assert listening("flask run", None) == "flask run --port $PORT"
    assert line(["bash", "-c", "a && b"]) == "a && b"
    assert line(["echo", "a b"]) == "echo 'a b'"
    assert line({"a": 1}) is None
    assert service_name("My App_2", ()) == "my-app-2"
    assert service_name("web", ("web",)) == "web-2"
    assert service_name("9lives") == "s-9lives"
