//! The server and the script show a log alike: where one ends and the other goes on must not be seen.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

/// Shows each text of a JSON array with `terminal.js`, in pieces, and prints the rows as a page would hold them.
const PROGRAM: &str = r#"
const { Terminal } = require(process.argv[1]);
const escape = (text) => text.replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]);
const html = (runs) => runs.map(([c, text]) => (c ? `<span class="${c}">${escape(text)}</span>` : escape(text))).join("");
const show = (base64) => {
  const rows = [];
  const terminal = new Terminal((runs) => rows.push(html(runs)));
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const bytes = Buffer.from(base64, "hex");
  for (let at = 0; at < bytes.length; at += 5) terminal.write(decoder.decode(bytes.subarray(at, at + 5), { stream: true }));
  terminal.write(decoder.decode());
  const last = terminal.flush();
  if (bytes.length > 0 && bytes[bytes.length - 1] !== 10) rows.push(html(last));
  return rows;
};
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(input.map(show)));
"#;

fn node(texts: &[Vec<u8>]) -> Option<Vec<Vec<String>>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/terminal.js");
    let started = Command::new("node")
        .args(["-e", PROGRAM, script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = started.ok()?;
    let hex: Vec<String> = texts
        .iter()
        .map(|text| text.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let input = serde_json::to_vec(&hex).expect("JSON");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(&input)
        .expect("node reads");
    let output = child.wait_with_output().expect("node ends");
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).expect("node prints JSON"))
}

/// Output made of everything that terminals treat specially, the same in every run.
fn noise(seed: u64) -> Vec<u8> {
    let words: [&[u8]; 30] = [
        b"\x1b[31m",
        b"\x1b[0m",
        b"\x1b[1;4;7m",
        b"\x1b[38;5;196m",
        b"\x1b[48;2;10;200;30m",
        b"\x1b[38:2::1:2:250m",
        b"\x1b[27;39m",
        b"\x1b[K",
        b"\x1b[1K",
        b"\x1b[2K",
        b"\x1b[7C",
        b"\x1b[3D",
        b"\x1b[5G",
        b"\x1b[?25l",
        b"\x1b]0;t\x07",
        b"\x1b]8;;u\x1b\\",
        b"\x1bP1\n",
        b"\r",
        b"\x08",
        b"\t",
        b"\n",
        b"\0",
        "é".as_bytes(),
        "\u{202e}".as_bytes(),
        "😀".as_bytes(),
        b"\xff",
        b"\xe2\x82",
        b"<&>\"'",
        b"plain words ",
        b"\x1b[58;5;1;9m",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::new();
    for _ in 0..300 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(words[(state >> 33) as usize % words.len()]);
    }
    out
}

#[tokio::test]
async fn server_and_script_agree() {
    let mut texts: Vec<Vec<u8>> = (1..60).map(noise).collect();
    texts.push("long ".repeat(3_000).into_bytes());
    texts.push("\u{feff}mark\n".into());
    let Some(shown) = node(&texts) else {
        eprintln!(
            "SKIPPED: node is not installed, so terminal.js was not compared with the server"
        );
        return;
    };
    for (text, rows) in texts.iter().zip(shown) {
        let farm = small_farm();
        let id = farm.start(1, "w1", &[], ago(9));
        farm.logs.append(id, text);
        farm.finish(id, Outcome::Passed, "", true, ago(1));
        let answer = page(&farm, "/builds/1").await;
        assert_eq!(pages::lines(answer.text()), rows, "{}", text.escape_ascii());
    }
}
