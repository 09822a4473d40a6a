//! A git server on 127.0.0.1: python's http.server with `git http-backend` behind it, gone when dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = r#"
import base64, os, subprocess, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
root, password = sys.argv[1], sys.argv[2]
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    def log_message(self, *args): pass
    def serve(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/moved/", "/", 1))
            self.end_headers()
            return
        said = self.headers.get("Authorization", "")
        if password and said != "Basic " + base64.b64encode(password.encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": root, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
               "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
               "GIT_CONFIG_VALUE_0": "*", "QUERY_STRING": query, "REQUEST_METHOD": self.command,
               "CONTENT_TYPE": self.headers.get("Content-Type") or "", "CONTENT_LENGTH": str(len(body)),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
               "GIT_PROTOCOL": self.headers.get("Git-Protocol") or ""}
        done = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((v for k, v in fields if k.lower() == "status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for k, v in fields:
            if k.lower() != "status": self.send_header(k, v)
        self.end_headers()
        self.wfile.write(rest)
    do_GET = do_POST = serve
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A running server.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// Serves the repositories below a folder; with a password (`user:password`), only to who knows it.
    pub fn start(root: &Path, password: &str) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT]).arg(root).arg(password).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", root);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let Ok(port) = line.trim().parse() else {
            let mut rest = String::new();
            let _ = stdout.read_to_string(&mut rest);
            panic!("the server did not start: {line}{rest}");
        };
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
