//! Mutation testing of `verdict` and `plan`: what the tests do not notice they do not hold.
//!
//! All mutants are compiled at once, each behind a switch that the environment turns on. See README.md.

mod build;
mod find;
mod kill;
mod mutation;
mod operators;
mod options;
mod reach;
mod report;
mod sources;
mod tests_run;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use self::build::Built;
use self::kill::{Killers, Outcome};
use self::mutation::{Id, Mutation};
use self::options::Options;
use self::report::{Known, Row};
use self::sources::Source;
use self::tests_run::Runner;

/// What a test may take that is run at a first look.
const QUICK: Duration = Duration::from_millis(500);

const ROOMS: [&str; 2] = ["verdict", "plan"];

/// A mutant by its number: the source it is in, and what it changes.
type Mutants = BTreeMap<Id, (usize, Mutation)>;

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)) {
        Ok(None) => {
            print!("{}", options::HELP);
            ExitCode::SUCCESS
        }
        Ok(Some(options)) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("mutants: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let root = options.root.canonicalize()?;
    let folder = root.join("target/mutants");
    let (copy, scratch) = (folder.join("copy"), folder.join("scratch"));
    fs::create_dir_all(&copy)?;
    fs::create_dir_all(&scratch)?;

    let mut sources = Vec::new();
    for room in ROOMS {
        sources.extend(sources::of_room(&root, room)?);
    }
    let all = mutants(&sources)?;
    if options.list {
        return match list(options, &sources, &all) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            told => Ok(told?),
        };
    }

    let mutated: BTreeSet<PathBuf> =
        sources.iter().map(|source| source.path.clone()).chain([PathBuf::from("src/lib.rs")]).collect();
    sources::copy(&root, &copy, &mutated)?;
    let lib = fs::read_to_string(root.join("src/lib.rs"))?;
    sources::write(&copy.join("src/lib.rs"), (lib + &sources::switch(all.len())).as_bytes())?;
    let (mutants, binaries) = compile(&root, &copy, &folder, &sources, all, !options.it.is_empty())?;

    let runner = Runner::new(binaries, &copy, &scratch);
    let mut tests = reach::measure(&runner, &folder.join("reach.json"), &options.it, options.jobs)?;
    tests.retain(|test| !options.quick || test.took < QUICK);
    let known_path = folder.join("outcomes.json");
    let known = challenge(options, &sources, &mutants, &runner, &tests, &known_path)?;

    let rows: Vec<Row> = mutants
        .iter()
        .filter_map(|(id, (source, mutation))| {
            let path = &sources[*source].path;
            Some(Row {
                file: path.clone(),
                line: mutation.line,
                column: mutation.column,
                function: mutation.function.clone(),
                mutation: mutation.what.clone(),
                id: *id,
                outcome: known.outcomes.get(&report::key(path, mutation))?.clone(),
            })
        })
        .collect();
    let survivors = report::write_survivors(&folder, &rows)?;
    println!("{}\nsurvivors: {}", report::counts(&rows), survivors.display());
    Ok(())
}

fn list(options: &Options, sources: &[Source], all: &Mutants) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (id, (source, mutation)) in all {
        let path = sources[*source].path.display().to_string();
        if options.picks(&path, mutation.line, *id) {
            let Mutation { line, column, function, what, .. } = mutation;
            writeln!(out, "#{id} {path}:{line}:{column} {function}: {what}")?;
        }
    }
    Ok(())
}

fn mutants(sources: &[Source]) -> io::Result<Mutants> {
    let files: Vec<syn::File> = sources.iter().map(Source::parse).collect::<io::Result<_>>()?;
    let mut constants = find::Constants::new();
    files.iter().for_each(|file| find::add_constants(file, &mut constants));
    let of = |(index, file): (usize, &syn::File)| {
        let mutations = find::mutations(&sources[index].text, file, &constants);
        mutations.into_iter().map(move |mutation| (index, mutation))
    };
    Ok((1..).zip(files.iter().enumerate().flat_map(of)).collect())
}

/// Compiles the copy without the mutations that do not compile. Returns the others, and the test binaries.
fn compile(
    root: &Path,
    copy: &Path,
    folder: &Path,
    sources: &[Source],
    mut mutants: Mutants,
    with_it: bool,
) -> Result<(Mutants, Vec<PathBuf>), Box<dyn Error>> {
    let all = mutants.len();
    let dropped_path = folder.join("dropped.json");
    let mut dropped: BTreeSet<String> =
        fs::read(&dropped_path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    mutants.retain(|_, (source, mutation)| !dropped.contains(&report::key(&sources[*source].path, mutation)));
    let targets: &[&str] = if with_it { &["--lib", "--test", "it"] } else { &["--lib"] };
    loop {
        let mut written = BTreeMap::new();
        for (index, source) in sources.iter().enumerate() {
            let here: Vec<(Id, &Mutation)> =
                mutants.iter().filter(|(_, (of, _))| *of == index).map(|(id, (_, mutation))| (*id, mutation)).collect();
            let (text, places) = mutation::write(&source.text, &here);
            sources::write(&copy.join(&source.path), text.as_bytes())?;
            written.insert(source.path.clone(), places);
        }
        let objections = match build::build(root, copy, targets)? {
            Built::Fine(binaries) => {
                eprintln!("{} mutations, {} of which the compiler does not take", all, all - mutants.len());
                let names: &[&str] = if with_it { &["pull_patrol", "it"] } else { &["pull_patrol"] };
                let paths: Option<Vec<PathBuf>> = names.iter().map(|name| binaries.get(*name).cloned()).collect();
                return Ok((mutants, paths.ok_or("cargo told of no test binary")?));
            }
            Built::Objections(objections) => objections,
        };
        let blamed: BTreeSet<Id> = objections.iter().flat_map(|objection| objection.blamed(&written)).collect();
        if blamed.is_empty() {
            for objection in objections.iter().filter(|objection| !objection.is_summary()) {
                eprintln!("{}", objection.text());
            }
            return Err("the copy does not compile, and no mutation is to blame".into());
        }
        eprintln!("{} objections of the compiler, {} mutations fewer", objections.len(), blamed.len());
        for id in blamed {
            if let Some((source, mutation)) = mutants.remove(&id) {
                dropped.insert(report::key(&sources[source].path, &mutation));
            }
        }
        fs::write(&dropped_path, serde_json::to_vec_pretty(&dropped)?)?;
    }
}

/// Runs the tests against all mutants that are to be run, and keeps what comes of it.
fn challenge(
    options: &Options,
    sources: &[Source],
    mutants: &Mutants,
    runner: &Runner,
    tests: &[kill::Test],
    known_path: &Path,
) -> Result<Known, Box<dyn Error>> {
    let known = Known::read(known_path);
    let due = |(id, (source, mutation)): &(&Id, &(usize, Mutation))| {
        let path = &sources[*source].path;
        let before = known.outcomes.get(&report::key(path, mutation));
        let wanted = match before {
            None => true,
            Some(Outcome::Survived(_) | Outcome::NotReached) => options.again || options.survivors,
            Some(_) => options.again,
        };
        wanted && options.picks(&path.display().to_string(), mutation.line, **id)
    };
    let queue: Vec<_> = mutants.iter().filter(due).map(|(id, of)| (*id, of)).collect();
    let (known, killers, done) = (Mutex::new(known), Killers::default(), AtomicUsize::new(0));
    for_each(&queue, options.jobs, |(id, (source, mutation))| {
        let outcome = kill::challenge(runner, tests, &killers, *id, &mutation.function, options.limit)?;
        let mut known = known.lock().map_err(|_| io::Error::other("a worker panicked"))?;
        known.outcomes.insert(report::key(&sources[*source].path, mutation), outcome);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(50) {
            known.write(known_path)?;
            eprintln!("{done} of {}", queue.len());
        }
        Ok(())
    })?;
    let known = known.into_inner().map_err(|_| "a worker panicked")?;
    known.write(known_path)?;
    Ok(known)
}

/// Does the same for each of many, several at a time.
fn for_each<T: Sync>(all: &[T], jobs: usize, turn: impl Fn(&T) -> io::Result<()> + Sync) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            turn(one)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, io::Result<()>>| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))
        };
        workers.into_iter().try_for_each(join)
    })
}
