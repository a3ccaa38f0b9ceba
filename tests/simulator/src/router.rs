//! From a request to its answer: log, faults, then the host that was asked.

use std::sync::Arc;

use crate::auth::{Credential, credential};
use crate::host::Host;
use crate::log::LoggedRequest;
use crate::plan::alter;
use crate::state::{Shared, State};
use crate::wire::{Reply, Request};
use crate::{ghcr, github_api, registries};

pub(crate) async fn answer(shared: &Arc<Shared>, host: Host, connection: u64, request: &Request) -> Reply {
    let credential = credential(request);
    let (seq, plan, hooks) = {
        let mut state = shared.lock();
        let presented = state.presented(host.home(), &credential);
        let plan = state.plan(host, request, &presented);
        let entry = LoggedRequest {
            seq: 0,
            at: state.now(),
            host,
            connection,
            method: request.method.to_string(),
            path: request.path.clone(),
            query: request.query.clone(),
            presented,
            status: None,
            fault: plan.id,
            user_agent: request.header("user-agent").map(str::to_owned),
            accept: request.header("accept").map(str::to_owned),
        };
        let mut due = Vec::new();
        let waiting = std::mem::take(&mut state.hooks);
        for mut hook in waiting {
            if (hook.matches)(&entry) { due.push(hook.then) } else { state.hooks.push(hook) }
        }
        (state.log_arrival(entry), plan, due)
    };
    for then in hooks {
        then();
    }
    shared.changed.notify_waiters();
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    let reply = {
        let mut state = shared.lock();
        let replaced = plan.fault.as_ref().and_then(|fault| state.replaced(host, fault));
        let mut reply = match (replaced, &plan.fault) {
            (Some(reply), _) => reply,
            (None, Some(fault)) => alter(honest(&mut state, host, request, &credential), fault),
            (None, None) => honest(&mut state, host, request, &credential),
        };
        if !reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
            reply.headers.push(("date".to_owned(), state.date(host)));
        }
        state.log_status(seq, reply.status);
        reply
    };
    shared.changed.notify_waiters();
    reply
}

fn honest(state: &mut State, host: Host, request: &Request, credential: &Credential) -> Reply {
    match host {
        Host::Ghcr | Host::EnterpriseRegistry(_) => ghcr::answer(state, host, request, credential),
        Host::GithubApi | Host::EnterpriseApi(_) => github_api::answer(state, host, request, credential),
        Host::Registry(id) => registries::answer(state, id, request, credential),
        Host::TokenService(id) => registries::answer_token_service(state, id, request, credential),
    }
}
