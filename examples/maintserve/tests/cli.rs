//! The built program.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use maintner::{corpus::Snapshot, testing::History};

struct Server(Child, String);

impl Server {
    fn start(log: &str, cache: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_maintserve"))
            .args([log, "--listen", "127.0.0.1:0"])
            .env("XDG_CACHE_HOME", cache)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let open =
            lines.find_map(|line| Some(line.unwrap().split_once("  open   http://")?.1.to_owned()));
        // The rest of what it prints is read, too.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, open.unwrap().trim_end_matches('/').to_owned())
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.1);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_in_a_folder_can_be_browsed() {
    let dir = tempfile::tempdir().unwrap();
    let log = History::new(4).log(500_000);
    std::fs::write(dir.path().join("maintner-2018-07-09.mutlog"), &log).unwrap();
    let path = dir.path().to_str().unwrap();
    let server = Server::start(path, path);
    let snapshot = Snapshot::of_log(log).unwrap();
    let repo = snapshot.github().repos().next().unwrap();
    assert!(server.get("/").contains(&format!(">{repo}</a>")));
    let issue = repo.issues().find(|issue| !issue.not_exist()).unwrap();
    let page = server.get(&format!("/{repo}/{}", issue.number()));
    assert!(
        page.starts_with("HTTP/1.0 200 OK") && page.contains("<h1>"),
        "{page}"
    );
    assert!(server.get("/no/body").starts_with("HTTP/1.0 404"));
}

#[test]
fn what_cannot_be_read_is_explained() {
    let output = Command::new(env!("CARGO_BIN_EXE_maintserve"))
        .args(["/nowhere", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("neither an address, nor a folder"), "{text}");
}
