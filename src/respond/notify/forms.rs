//! Messages in the forms that channels take.
//!
//! Contract: foreign text stays text. In Slack `&`, `<` and `>` are escaped, as its documentation asks
//! (<https://api.slack.com/reference/surfaces/formatting#escaping>), so no mention or link comes of it; in an adaptive card
//! it stands in text runs, which know no markup (<https://adaptivecards.io/explorer/TextRun.html>); in an issue it stands
//! in code, fenced by more backticks than it holds.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Message;

/// The body of a Slack incoming webhook.
pub fn slack(message: &Message, text: &str) -> Value {
    let escape = |t: &str| t.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // Plain text: no mrkdwn, no parsing of names and links.
    let block =
        |t: &str| json!({ "type": "section", "text": { "type": "plain_text", "text": cut(t, 2900), "emoji": false } });
    json!({
        "text": escape(&message.subject()),
        "mrkdwn": false,
        "blocks": [block(&message.subject()), block(text)],
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// The body of a Teams workflow webhook: a message with one adaptive card
/// (<https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>).
pub fn adaptive_card(message: &Message, text: &str) -> Value {
    let runs = |t: &str, weight: &str| {
        let inlines = [json!({ "type": "TextRun", "text": t, "weight": weight })];
        json!({ "type": "RichTextBlock", "inlines": inlines })
    };
    let mut body = vec![runs(&message.subject(), "bolder")];
    body.extend(text.lines().filter(|l| !l.is_empty()).map(|l| runs(l, "default")));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": body,
            },
        }],
    })
}

/// Text for an issue at GitHub or GitLab: a title, an empty line, Markdown.
pub fn issue(message: &Message) -> String {
    let mut out = format!("{}\n\n", message.subject());
    let mut row = |label: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(out, "- {label}: {}", code(text));
        }
    };
    row("What", &format!("{}, {} ({})", message.what, message.value, message.rule));
    row("Owner", &message.owner);
    row("Account", &message.account);
    message.places.iter().for_each(|place| row("Where", place));
    row("Since", &message.since);
    row("Done", &message.done);
    let _ = writeln!(out, "\nTo do:\n");
    for step in &message.now {
        let _ = writeln!(out, "- [ ] {}", code(step));
    }
    let _ = writeln!(out, "\nPlan {}, fingerprint {}", code(&message.plan), code(&message.fingerprint));
    out
}

/// Text as code: nothing in it is markup.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    format!("{fence} {text} {fence}")
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
