//! Explaining one target: once for a command, or between two steps of the daemon's loop for a face that asks.
//!
//! The patrol alone holds what an explanation needs, and keeps no second copy of it for the faces: they send a question.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{ExchangeLost, Patrol, Progress};
use crate::cluster::ObjectRef;
use crate::outlook::explain::{ExplainError, Explanation, Target, explain, namespace_of};
use crate::plan::TokenId;

/// A question of a face. The answer is dropped when nobody waits for it any more.
#[derive(Debug)]
pub struct Question {
    /// Where the target is; `None` looks in all namespaces.
    pub namespace: Option<String>,
    /// What to explain.
    pub target: Target,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Explanation, ExplainError>>,
}

/// The next question; never, when nobody can ask.
pub(super) async fn next_question(questions: &mut Option<mpsc::Receiver<Question>>) -> Option<Question> {
    match questions {
        Some(questions) => questions.recv().await,
        None => std::future::pending().await,
    }
}

impl Patrol {
    /// Answer these questions while running.
    #[must_use]
    pub fn answering(mut self, questions: mpsc::Receiver<Question>) -> Self {
        self.questions = Some(questions);
        self
    }

    pub(super) fn answer(&self, question: Question) {
        let Question { namespace, target, reply } = question;
        if !reply.is_closed() {
            // Whoever asked may have gone.
            let _ = reply.send(self.explain(namespace.as_deref(), &target));
        }
    }

    fn explain(&self, namespace: Option<&str>, target: &Target) -> Result<Explanation, ExplainError> {
        let now = self.clock.wall();
        self.with_inputs(|inputs| explain(inputs, namespace, target, now))
    }

    /// Explain a target after one round. What is pulled in namespaces where nothing of the target's is pulled has no say in
    /// it, so Secrets and pods there are left out of the round.
    ///
    /// # Errors
    /// [`ExchangeLost`] when an exchange panicked; inside, [`ExplainError`] when there is no such target.
    pub async fn explain_once(
        mut self,
        namespace: Option<&str>,
        target: &Target,
        on_progress: impl FnMut(Progress),
    ) -> Result<Result<Explanation, ExplainError>, ExchangeLost> {
        self.sync();
        let found = self.with_inputs(|inputs| namespace_of(inputs, namespace, target));
        let namespace = match found {
            Ok(namespace) => namespace,
            Err(error) => return Ok(Err(error)),
        };
        // A listener pulls in the controller's namespace, with the Secrets there.
        let here = self.roster.workloads().values().filter(|workload| workload.key.namespace == namespace);
        let mut kept: HashSet<Arc<str>> = here.flat_map(|of| &of.pulls).map(|pull| pull.namespace.clone()).collect();
        kept.insert(namespace.clone());
        let book = &self.book;
        let tokens = |at: &ObjectRef| {
            let record = book.secrets.get(at);
            record.into_iter().flat_map(|record| &record.credentials).map(|credential| credential.token)
        };
        // Copies of a token are counted wherever they are, and most of them ask nothing of their own.
        let shared: HashSet<TokenId> = match target {
            Target::Secret(name) => tokens(&ObjectRef::new(namespace.clone(), name.as_str())).collect(),
            _ => HashSet::new(),
        };
        self.inventory.update(|inventory| {
            inventory.secrets.retain(|at, _| {
                kept.contains(&at.namespace) || (!shared.is_empty() && tokens(at).any(|token| shared.contains(&token)))
            });
            inventory.pods.retain(|at, _| kept.contains(&at.namespace));
            true
        });
        self.settle(on_progress).await?;
        Ok(self.explain(Some(&namespace), target))
    }

    /// Explain a target without asking anybody.
    ///
    /// # Errors
    /// [`ExplainError`] when there is no such target.
    pub fn explain_offline(mut self, namespace: Option<&str>, target: &Target) -> Result<Explanation, ExplainError> {
        self.sync();
        self.explain(namespace, target)
    }
}
