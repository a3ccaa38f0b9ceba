//! The command `explain`: one round about one target, then the answer and an exit code.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use super::check::{one_round, read, say, scope_of, to_stdout};
use super::serve::patrol;
use super::setup::{Setup, SetupError};
use crate::cli::args::{Common, ExplainArgs, OutputFormat};
use crate::cli::exit::Exit;
use crate::cli::progress::Progress;
use crate::cli::{document, explanation};
use crate::cluster::{Inventory, ObjectRef, Origin, Owner, Pod, PodImage, PodPulls, Problem, SharedInventory};
use crate::metrics::{BuildInfo, DaemonMetrics};
use crate::outlook::explain::Target;
use crate::outlook::view::printable;

pub(super) fn command(common: &Common, args: &ExplainArgs) -> Result<ExitCode, SetupError> {
    let target = Target::parse(&args.target, args.image.as_deref()).map_err(SetupError::Target)?;
    let Setup { mut config, registries } = one_round(common)?;
    let scope = scope_of(&mut config, args.input.namespace.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(SetupError::Runtime)?;
    runtime.block_on(async move {
        let input = &args.input;
        let mut inventory = read(common, input, &scope).await?;
        let unparsable = inventory.problems.iter().any(|problem| problem.unparsable);
        inventory.problems.iter().for_each(tell);
        let namespace = input.namespace.as_deref();
        if let Target::ServiceAccount { name, image } = &target {
            put_in_pods(&mut inventory, namespace, name, image);
        }
        let metrics = Arc::new(DaemonMetrics::new(BuildInfo::compiled()).map_err(SetupError::Metrics)?);
        let patrol = patrol(config, registries, SharedInventory::new(inventory), metrics)?;
        let explained = if input.offline {
            patrol.explain_offline(namespace, &target)
        } else {
            let stderr = std::io::stderr();
            let mut bar = Progress::new(&stderr, stderr.is_terminal());
            let explained =
                patrol.explain_once(namespace, &target, |progress| bar.update(progress.settled, progress.total)).await;
            explained.map_err(|error| SetupError::TaskEnded { task: "explain", reason: error.to_string() })?
        };
        let explained = explained.map_err(SetupError::Explain)?;
        to_stdout(input, |look, out| match input.output {
            OutputFormat::Json => document::json(&explained, out),
            OutputFormat::Yaml => document::yaml(&explained, out),
            OutputFormat::Table => explanation::write(&explained, look, out),
        })?;
        Ok(ExitCode::from(Exit::of_explanation(&explained, unparsable, input.offline).code()))
    })
}

/// Input that could not be read, to standard error: it is no part of the answer, but may be why it is short.
fn tell(problem: &Problem) {
    let name = problem.name.as_deref().unwrap_or_default();
    let place = format!("{} {name}", problem.source);
    say(&format!("{}: {}\n", printable(place.trim_end()), printable(&problem.message)));
}

/// Put a pod of the `ServiceAccount` into the inventory, wherever there is one, so that the round asks what it would ask.
fn put_in_pods(inventory: &mut Inventory, namespace: Option<&str>, name: &str, image: &str) {
    let accounts = inventory.service_accounts.values();
    let mut lists: Vec<(ObjectRef, Vec<Arc<str>>)> =
        accounts.filter(|one| *one.at.name == *name).map(|one| (one.at.clone(), one.pull_secrets.clone())).collect();
    if inventory.origin == Origin::Files && name == "default" && lists.is_empty() {
        lists.extend(namespace.map(|namespace| (ObjectRef::new(namespace, name), Vec::new())));
    }
    for (at, pull_secrets) in lists {
        // A slash cannot stand in the name of an object, so this one is free.
        let pod = Pod {
            at: ObjectRef { namespace: at.namespace, name: format!("serviceaccount/{name}").into() },
            pulls: Arc::new(PodPulls {
                service_account: Arc::clone(&at.name),
                pull_secrets,
                admitted_from_service_account: true,
                images: vec![PodImage {
                    container: Arc::from(""),
                    kind: crate::cluster::ContainerKind::Regular,
                    image: Arc::from(image),
                }],
                owner: Some(Owner {
                    api_version: Arc::from("v1"),
                    kind: Arc::from("ServiceAccount"),
                    name: Arc::clone(&at.name),
                }),
            }),
            waiting: Vec::new(),
        };
        inventory.pods.insert(pod.at.clone(), Arc::new(pod));
    }
}
