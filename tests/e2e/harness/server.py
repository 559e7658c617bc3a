"""An HTTP server of one function, for what the gateway asks."""

import contextlib
import http.server
import threading


class Server:
    """Runs until it is stopped. `answer` makes status, headers and body of a request's method, path, headers and body."""

    def __init__(self, answer):
        #: Path, headers and body of each request.
        self.seen = []
        seen = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen.append((self.path, headers, body))
                status, headers, body = answer(self.command, self.path, headers, body)
                # Who asked may have given up.
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    for name, value in {**headers, "content-length": str(len(body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = _serve

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
