//! One way with credentials, over the network, and what may be told of it.

use super::applying::Context;
use crate::model::Checked;
use crate::pipeline::asking::Job;
use crate::rules::ask::Way;
use crate::verify::echo;
use crate::verify::network::Network;
use crate::verify::polite::Polite;
use crate::verify::steps::{self, Endpoints};

/// Takes a way with credentials of one issuer; what comes back holds none of their bytes.
pub(super) async fn send(
    mode: steps::Mode,
    context: &Context<'_>,
    polite: &Polite<Network>,
    jobs: &[&Job],
    way: &Way,
    site: &Endpoints,
) -> steps::Acted {
    let issuer = jobs[0].issuer.as_str();
    let credentials: Vec<_> = jobs.iter().map(|job| job.credential()).collect();
    let settings = context.applying.admin.of(issuer, way);
    let now = jiff::Timestamp::now().as_second();
    let ask = &jobs[0].ask;
    let transport = polite.of(issuer);
    let mut acted = steps::act(mode, ask, way, &credentials, &settings, site, &transport, now).await;
    let told = Checked { remark: acted.reason.take(), ..Checked::default() };
    let secrets = credentials.iter().map(|c| c.secret).chain(settings.values().map(|v| v.as_bytes()));
    let told = secrets.fold(told, |mut told, secret| {
        echo::cut(&mut told, secret);
        told
    });
    acted.reason = told.remark;
    acted
}
