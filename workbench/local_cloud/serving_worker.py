"""Serves one model over HTTP, as SageMaker's container does; runs in the MXNet environment.

AWS's own handler (`sagemaker_mxnet_serving_container`) loads the model and answers; this file stands in only for
multi-model-server, which needs Java. It is one file of its own, in Python 3.8 syntax, and imports nothing but the
standard library: the MXNet environment has neither Typer nor Starlette.

The port is chosen by the system and written to standard output as a line `port <n>` once the model has loaded. The
worker ends when its standard input closes, that is, with the process that started it.
"""

import argparse
import http.server
import os
import queue
import sys
import threading
import traceback

MAX_BODY_VARIABLE, MAX_BODY = "MMS_MAX_REQUEST_SIZE", 6553500
"""Multi-model-server's variable, and what it takes if it is not given."""


class RequestProperties:
    def __init__(self, content_type, accept):
        self._properties = {"Content-Type": content_type, "Accept": accept}

    def get_request_properties(self):
        return dict(self._properties)


class Context:
    """The part of multi-model-server's context that AWS's handlers use."""

    def __init__(self, model_dir):
        self.system_properties = {"model_dir": model_dir, "gpu_id": None}
        self.manifest = {}
        self.begin("application/json", "*/*")

    def begin(self, content_type, accept):
        self.request_processor = [RequestProperties(content_type, accept)]
        self.status, self.content_type = 200, accept

    def set_response_status(self, code=200, phrase="", idx=0):
        self.status = code

    def set_response_content_type(self, idx, value):
        self.content_type = value


class Job:
    def __init__(self, body, content_type, accept):
        self.body, self.content_type, self.accept = body, content_type, accept
        self.done = threading.Event()
        self.answer = (500, "text/plain", b"")


def serve_jobs(service, context, jobs):
    """Answer jobs one after another on this thread: MXNet's state belongs to the thread that loaded the model."""
    while True:
        job = jobs.get()
        context.begin(job.content_type, job.accept)
        try:
            [reply] = service.handle([{"body": job.body}], context)
            reply = reply if isinstance(reply, bytes) else str(reply).encode("utf-8")
            job.answer = (context.status, context.content_type if context.status == 200 else "text/plain", reply)
        except Exception:
            job.answer = (500, "text/plain", traceback.format_exc().encode("utf-8"))
        job.done.set()


def make_handler(jobs, max_body):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._reply(200 if self.path == "/ping" else 404, "application/json", b"")

        def do_POST(self):
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if self.path != "/invocations":
                self._reply(404, "text/plain", b"")
                return
            if length > max_body:
                told = f"The request has {length} bytes; {MAX_BODY_VARIABLE} allows {max_body}."
                self._reply(413, "text/plain", told.encode("utf-8"))
                return
            job = Job(
                body,
                self.headers.get("Content-Type", "application/json"),
                self.headers.get("Accept", "*/*"),
            )
            jobs.put(job)
            job.done.wait()
            self._reply(*job.answer)

        def _reply(self, status, content_type, body):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    return Handler


def end_with_parent():
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model-dir", required=True)
    model_dir = parser.parse_args().model_dir
    announcement = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the model prints belongs in the log
    threading.Thread(target=end_with_parent, daemon=True).start()
    from sagemaker_mxnet_serving_container.handler_service import HandlerService

    context, service = Context(model_dir), HandlerService()
    max_body = int(os.environ.get(MAX_BODY_VARIABLE, MAX_BODY))
    jobs = queue.Queue()  # type: queue.Queue[Job]
    service.initialize(context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make_handler(jobs, max_body))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    announcement.write(f"port {server.server_address[1]}\n")
    announcement.close()
    serve_jobs(service, context, jobs)


if __name__ == "__main__":
    main()
