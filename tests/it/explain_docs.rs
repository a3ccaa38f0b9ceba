//! What docs/explain.md shows is what the program prints, in a terminal as wide as the page.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use simulator::demo::{DemoPorts, DemoWorld};

use crate::seed_case::Seed;
use crate::support::real::checkout;

/// Columns of a block of the page.
const WIDTH: u16 = 110;

/// Blocks that show a command and what it prints.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```\n").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix("$ pull-patrol ")?.split_once('\n')).collect()
}

/// Dates and distances differ from day to day.
fn timeless(text: &str) -> String {
    let mut words = Vec::new();
    for line in text.lines() {
        let masked = line.split(' ').map(|word| {
            let digits = word.contains(|c: char| c.is_ascii_digit());
            let date = digits && word.trim_matches(['(', ')', ',']).split(['-', ':']).count() > 1;
            let date = date && word.chars().all(|c| c.is_ascii_digit() || "-:(),".contains(c));
            let number = digits && word.trim_matches(['(', ')', ',']).chars().all(|c| c.is_ascii_digit());
            if date || number { "#" } else { word }
        });
        words.push(masked.collect::<Vec<_>>().join(" "));
    }
    words.join("\n")
}

/// Run the program in a pseudo-terminal of the page's width.
async fn in_a_terminal(folder: &Path, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_pull-patrol");
    let line = format!(
        "stty cols {WIDTH} rows 50; exec {program} --config.file config.yaml {arguments} --color never 2>/dev/null"
    );
    let mut command = tokio::process::Command::new("script");
    command.current_dir(folder).args(["-qec", &line, "/dev/null"]).stdin(std::process::Stdio::null());
    let output = command.output().await.expect("script, of Debian's bsdutils, runs");
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_what_the_program_prints() {
    let page = std::fs::read_to_string(checkout().join("docs/explain.md")).unwrap();
    let demo = DemoWorld::start(DemoPorts::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cluster.yaml"), &demo.manifests).unwrap();
    std::fs::write(folder.path().join("config.yaml"), &demo.config).unwrap();
    let seed = Seed::start().await;
    let blocks = blocks(&page);
    assert_eq!(blocks.len(), 4);
    let mut wrong = Vec::new();
    for (arguments, shown) in blocks {
        let of_seed = arguments.contains(".yaml");
        let printed = if of_seed {
            in_a_terminal(&seed.path(""), arguments).await
        } else {
            in_a_terminal(folder.path(), &format!("{arguments} cluster.yaml")).await
        };
        if timeless(printed.trim_end()) != timeless(shown.trim_end()) {
            wrong.push(format!("$ pull-patrol {arguments}\n{printed}"));
        }
    }
    assert!(wrong.is_empty(), "docs/explain.md shows something else than is printed:\n{}", wrong.join("\n"));
}
