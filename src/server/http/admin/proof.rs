//! `/admin/drops/{id}/proof`: whether the stock of a drop adds up, with every step.

use super::{
    document::{Place, document, error_page},
    drop_id::DropId,
    zone::Zone,
};
use crate::{
    server::{
        inventory::{self, Checked, LoggedTotal, Proof, SizeProof, Step, StepName},
        state::AppState,
    },
    text::{self, desk},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use leptos::{either::Either, prelude::*};

pub(super) async fn page(State(state): State<AppState>, zone: Zone, DropId(id): DropId) -> Response {
    match inventory::prove(&state.pool, id).await {
        Ok(proof) => document(&state, Place::Other(desk::PROOF), content(&proof, zone)),
        Err(error) => error_page(&state, &error),
    }
}

/// The proof as a file.
pub(super) async fn download(State(state): State<AppState>, DropId(id): DropId) -> Response {
    let proof = match inventory::prove(&state.pool, id).await {
        Ok(proof) => proof,
        Err(error) => return error_page(&state, &error),
    };
    let disposition = format!("attachment; filename=\"drop-{id}-proof.json\"");
    let disposition = HeaderValue::try_from(disposition).expect("a number fits into a header");
    let headers =
        [(header::CONTENT_DISPOSITION, disposition), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, Json(proof)).into_response()
}

/// The verdict, then how it was reached.
fn content(proof: &Proof, zone: Zone) -> impl IntoView + use<> {
    let drop = format!("/admin/drops/{}", proof.drop_id);
    let problems = problems(proof);
    let verdict = if problems.is_empty() {
        Either::Left(view! { <p class="verdict">{desk::BALANCED}</p> })
    } else {
        let problems = problems.into_iter().map(|problem| view! { <li dir="auto">{problem}</li> }).collect_view();
        Either::Right(view! {
            <div class="problems">
                <p class="verdict">{desk::NOT_BALANCED}</p>
                <ul>{problems}</ul>
            </div>
        })
    };
    view! {
        <div class="proof" data-follow=proof.drop_id>
            <p>
                <a href=drop.clone() dir="auto">
                    {proof.name.clone()}
                </a>
            </p>
            <h1>{desk::PROOF}</h1>
            {verdict}
            <p class="quiet">
                {desk::PROVED} " " {zone.time(proof.proved_at)} " · "
                {desk::versions(proof.version, proof.edit_version)}
            </p>
            <p class="actions">
                <a class="secondary" href=format!("{drop}/proof")>
                    {desk::PROVE_AGAIN}
                </a>
                <a class="secondary" href=format!("{drop}/proof.json") download>
                    {desk::EXPORT_JSON}
                </a>
            </p>
            {proof.sizes.iter().enumerate().map(|(index, size)| size_proof(size, index, zone)).collect_view()}
            <h2>{desk::INVARIANTS}</h2>
            <ul class="invariants">{proof.invariants.iter().map(invariant).collect_view()}</ul>
            <h2>{desk::HOW_IT_IS_PROVED}</h2>
            {explanation()}
            <p>{desk::PRUNED_NOTE}</p>
        </div>
    }
}

/// What does not agree, each in a sentence.
fn problems(proof: &Proof) -> Vec<String> {
    let mut problems = vec![];
    for SizeProof { label, steps, totals, .. } in &proof.sizes {
        let steps = steps.iter().filter(|step| !step.agrees);
        problems.extend(steps.map(|step| desk::disagreement(label, name(step.step), step.tables, step.log)));
        let mut ended = None;
        for LoggedTotal { change_id, before, after, agrees, .. } in totals {
            if !agrees {
                problems.push(desk::gap_in_the_log(label, *change_id, *before, ended));
            }
            ended = *after;
        }
    }
    let broken = proof.invariants.iter().filter(|checked| !checked.holds);
    problems.extend(broken.map(|checked| desk::violated(checked.invariant, checked.violations)));
    problems
}

fn size_proof(size: &SizeProof, index: usize, zone: Zone) -> impl IntoView + use<> {
    let SizeProof { label, steps, totals, reservations: r, purchases: p, .. } = size;
    let id = format!("size-{index}");
    view! {
        <section>
            <h2 id=id.clone()>
                <bdi>{label.clone()}</bdi>
            </h2>
            <table aria-labelledby=id>
                <thead>
                    <tr>
                        <th scope="col">{desk::PAIRS}</th>
                        <th scope="col">{desk::BY_THE_TABLES}</th>
                        <th scope="col">{desk::BY_THE_LOG}</th>
                        <th scope="col">{desk::AGREE}</th>
                    </tr>
                </thead>
                <tbody>{steps.iter().map(step).collect_view()}</tbody>
            </table>
            <p>{desk::reservations_stored(r.stored, r.active, r.completed, r.expired, r.released)}</p>
            <p>{desk::purchases_made(p.made, p.completed, p.cancelled)}</p>
            <details>
                <summary>{desk::changes_of_the_total(totals.len())}</summary>
                <ol>{totals.iter().map(|total| logged_total(total, zone)).collect_view()}</ol>
            </details>
        </section>
    }
}

fn step(Step { step, tables, log, agrees }: &Step) -> impl IntoView + use<> {
    view! {
        <tr class:broken=!agrees>
            <th scope="row">{name(*step)}</th>
            <td>{desk::number(*tables)}</td>
            <td>{desk::number(*log)}</td>
            <td>{if *agrees { desk::YES } else { desk::NO }}</td>
        </tr>
    }
}

fn logged_total(total: &LoggedTotal, zone: Zone) -> impl IntoView + use<> {
    let LoggedTotal { change_id, at, actor, action, before, after, agrees } = total;
    view! {
        <li class:broken=!agrees>
            {desk::logged_total(*change_id, *before, *after)} " · " {action.clone()} " · " <bdi>{actor.clone()}</bdi>
            " · " {zone.time(*at)}
            {(!agrees).then(|| view! { " · " {desk::DOES_NOT_FOLLOW} })}
        </li>
    }
}

fn invariant(checked: &Checked) -> impl IntoView + use<> {
    let examples = checked.examples.iter().map(|example| view! { <li dir="auto">{example.clone()}</li> });
    view! {
        <li class:broken=!checked.holds>
            {checked.invariant} ": " <strong>{desk::holds(checked.violations)}</strong>
            {(!checked.holds).then(|| view! { <ul>{examples.collect_view()}</ul> })}
        </li>
    }
}

fn explanation() -> impl IntoView {
    let steps = STEPS.map(|(step, [tables, log])| {
        view! {
            <tr>
                <th scope="row">{name(step)}</th>
                <td>{tables}</td>
                <td>{log}</td>
            </tr>
        }
    });
    view! {
        <table class="explanation" aria-label=desk::HOW_IT_IS_PROVED>
            <thead>
                <tr>
                    <th scope="col">{desk::PAIRS}</th>
                    <th scope="col">{desk::BY_THE_TABLES}</th>
                    <th scope="col">{desk::BY_THE_LOG}</th>
                </tr>
            </thead>
            <tbody>{steps.collect_view()}</tbody>
        </table>
    }
}

/// Where both numbers of each step come from.
const STEPS: [(StepName, [&str; 2]); 7] = [
    (StepName::Total, desk::TOTAL_PROVED),
    (StepName::Held, desk::HELD_PROVED),
    (StepName::Purchases, desk::PURCHASES_PROVED),
    (StepName::Cancelled, desk::CANCELLED_PROVED),
    (StepName::Sold, desk::SOLD_PROVED),
    (StepName::Available, desk::AVAILABLE_PROVED),
    (StepName::Balance, desk::BALANCE_PROVED),
];

fn name(step: StepName) -> &'static str {
    match step {
        StepName::Total => text::TOTAL,
        StepName::Held => desk::HELD,
        StepName::Purchases => desk::PURCHASES_MADE,
        StepName::Cancelled => text::CANCELLED,
        StepName::Sold => desk::SOLD,
        StepName::Available => desk::AVAILABLE,
        StepName::Balance => desk::ALL_TOGETHER,
    }
}
