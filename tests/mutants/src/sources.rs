//! The checkout and its copy: which files are mutated, and what is written into the copy.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use syn::Item;

use super::find::is_for_tests;

/// One source that is mutated.
pub struct Source {
    /// From the root of the checkout.
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    pub fn parse(&self) -> io::Result<syn::File> {
        let told = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", self.path.display()));
        syn::parse_file(&self.text).map_err(told)
    }
}

/// The sources of a room, found as the compiler finds them: from module to module, but for those of tests.
pub fn of_room(root: &Path, room: &str) -> io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut left = vec![PathBuf::from(format!("src/{room}/mod.rs"))];
    while let Some(path) = left.pop() {
        let source = Source { text: fs::read_to_string(root.join(&path))?, path };
        let path = &source.path;
        let is_root = path.file_name().is_some_and(|name| name == "mod.rs");
        let folder = if is_root { path.with_file_name("") } else { path.with_extension("") };
        for item in &source.parse()?.items {
            if let Item::Mod(module) = item
                && module.content.is_none()
                && !is_for_tests(&module.attrs)
            {
                let plain = folder.join(format!("{}.rs", module.ident));
                let nested = folder.join(module.ident.to_string()).join("mod.rs");
                left.push(if root.join(&plain).exists() { plain } else { nested });
            }
        }
        sources.push(source);
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

/// Makes the copy what the checkout is, but for the files that are `mutated`, which the caller writes. A file that is the same
/// is left alone, so that it is not compiled again.
pub fn copy(root: &Path, copy: &Path, mutated: &BTreeSet<PathBuf>) -> io::Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    if !listed.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&listed.stderr).into_owned()));
    }
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let files: BTreeSet<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    for path in files.iter().filter(|path| !mutated.contains(Path::new(path))) {
        // What is deleted and not committed is still listed.
        if let Ok(bytes) = fs::read(root.join(path)) {
            let from = fs::metadata(root.join(path))?;
            write(&copy.join(path), &bytes)?;
            fs::set_permissions(copy.join(path), from.permissions())?;
        }
    }
    let kept = |path: &Path| {
        let text = path.to_string_lossy();
        files.contains(&*text) && root.join(path).exists()
    };
    remove_others(copy, copy, &kept)
}

/// Removes what the checkout does not have, in the folders that it has.
fn remove_others(copy: &Path, folder: &Path, kept: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(inside) = path.strip_prefix(copy) else { continue };
        if path.is_dir() {
            remove_others(copy, &path, kept)?;
        } else if !kept(inside) && path.extension().is_some_and(|extension| extension == "rs") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Writes a file unless it is so already.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}

/// What the copy's `lib.rs` gets: the switch. Which mutation is on the environment says, once; where it names a file, each
/// mutation that is asked for is noted there.
pub fn switch(mutations: usize) -> String {
    format!(
        r#"
#[allow(clippy::all, clippy::pedantic)]
mod mutants {{
    use std::io::Write as _;
    use std::sync::LazyLock;
    use std::sync::atomic::{{AtomicBool, Ordering}};

    const NOT_ASKED: AtomicBool = AtomicBool::new(false);
    static ASKED: [AtomicBool; {count}] = [NOT_ASKED; {count}];
    static ON: LazyLock<usize> = LazyLock::new(|| std::env::var("MUTANT").map_or(0, |id| id.parse().unwrap_or(0)));
    static REACHED: LazyLock<Option<std::fs::File>> = LazyLock::new(|| {{
        let path = std::env::var_os("MUTANT_REACHED")?;
        std::fs::OpenOptions::new().create(true).append(true).open(path).ok()
    }});

    #[cold]
    fn note(mut file: &std::fs::File, id: usize) {{
        if !ASKED[id].swap(true, Ordering::Relaxed) {{
            let _ = file.write_all(format!("{{id}}\n").as_bytes());
        }}
    }}

    #[inline]
    pub(crate) fn mutant(id: usize) -> bool {{
        if let Some(file) = &*REACHED {{
            note(file, id);
        }}
        *ON == id
    }}
}}
pub(crate) use mutants::mutant;
"#,
        count = mutations + 1
    )
}
