//! GitHub's own OpenAPI description as a judge of requests and replies.
//!
//! Contract: a call that the description does not know (path, method, parameter, body) and a reply that it does not
//! allow (status, content type, body) are faults, told in words that hold no secret. What the description leaves out,
//! errors that any call may give, must still have the shape of GitHub's errors.

use serde_json::{Value, json};

use crate::support::http::Seen;

/// The description, cut to the calls we make: see `fixtures/github/cut.py`.
pub struct Contract {
    description: Value,
}

/// One call that the description knows.
pub struct Call<'a> {
    /// The path as the description has it, `/orgs/{org}/...`.
    pub path: &'a str,
    operation: &'a Value,
    shared: &'a Value,
    method: String,
}

/// Statuses that any call may answer though its own list does not say so: not authenticated, forbidden, no such thing,
/// too many requests, and faults of the server.
const ANYWHERE: [u16; 7] = [401, 403, 404, 429, 500, 502, 503];

impl Contract {
    pub fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/github/openapi.json");
        Self { description: serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() }
    }

    /// Finds the call of a request and checks path, query, headers and body.
    pub fn request(&self, seen: &Seen) -> Result<Call<'_>, String> {
        let method = seen.method.to_lowercase();
        let paths = self.description["paths"].as_object().unwrap();
        let known: Vec<_> = paths.iter().filter(|(template, _)| fits(template, seen.path())).collect();
        // `/orgs/{org}/x` and `/orgs/a/x` cannot both be in the description: one path fits or none.
        let [(path, operations)] = known[..] else { return Err(format!("no such path: {}", shape(seen.path()))) };
        let operation = &operations[&method];
        if operation.is_null() {
            return Err(format!("{path} has no {method}"));
        }
        let call = Call { path, operation, shared: &operations["parameters"], method };
        self.query(&call, seen)
            .and_then(|()| self.body(&call, seen))
            .map_err(|e| format!("{} {path}: {e}", call.method))?;
        if !seen.header("accept").is_empty() && !accepts_json(seen.header("accept")) {
            return Err(format!("{path}: does not accept JSON"));
        }
        if seen.header("user-agent").is_empty() {
            // https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#user-agent
            return Err(format!("{path}: GitHub refuses requests without User-Agent"));
        }
        Ok(call)
    }

    fn query(&self, call: &Call<'_>, seen: &Seen) -> Result<(), String> {
        let parameters: Vec<&Value> = [call.shared, &call.operation["parameters"]]
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .map(|p| self.resolve(p))
            .filter(|p| p["in"] == "query")
            .collect();
        let pairs = pairs(seen.target.split_once('?').map_or("", |(_, query)| query));
        for (name, value) in &pairs {
            let Some(parameter) = parameters.iter().find(|p| p["name"].as_str() == Some(name.trim_end_matches("[]")))
            else {
                return Err(format!("no such parameter: {name}"));
            };
            let schema = self.resolve(&parameter["schema"]);
            // Lists may be given as `name=` again and again (OpenAPI's way) or as `name[]=` (what GitHub also takes).
            let listed = schema["type"] == "array";
            if !listed && name.ends_with("[]") {
                return Err(format!("{name}: not a list"));
            }
            let schema = if listed { &schema["items"] } else { schema };
            let value = match schema["type"].as_str() {
                Some("integer") => value.parse::<i64>().map_or_else(|_| json!(value), |n| json!(n)),
                Some("boolean") => value.parse::<bool>().map_or_else(|_| json!(value), |b| json!(b)),
                _ => json!(value),
            };
            self.fits(schema, &value).map_err(|e| format!("{name}: {e}"))?;
        }
        let missing =
            parameters.iter().find(|p| p["required"] == true && !pairs.iter().any(|(n, _)| p["name"] == n.as_str()));
        missing.map_or(Ok(()), |p| Err(format!("{} is missing", p["name"])))
    }

    fn body(&self, call: &Call<'_>, seen: &Seen) -> Result<(), String> {
        let wanted = self.resolve(&call.operation["requestBody"]);
        let content = &wanted["content"]["application/json"];
        if content.is_null() {
            return if seen.body.is_empty() { Ok(()) } else { Err("takes no body".into()) };
        }
        if seen.body.is_empty() {
            return if wanted["required"] == true { Err("needs a body".into()) } else { Ok(()) };
        }
        if !seen.header("content-type").starts_with("application/json") {
            return Err("the body is not declared as JSON".into());
        }
        let body = serde_json::from_slice(&seen.body).map_err(|_| "the body is no JSON")?;
        self.fits(&content["schema"], &body)
    }

    /// Checks a reply; `None` is an empty body.
    pub fn reply(&self, call: &Call<'_>, status: u16, body: Option<&Value>) -> Result<(), String> {
        let name = format!("{} {} {status}", call.method, call.path);
        let reply = self.resolve(&call.operation["responses"][status.to_string()]);
        let schema = if !reply.is_null() {
            reply["content"].get("application/json").map(|content| &content["schema"])
        } else if ANYWHERE.contains(&status) {
            Some(&self.description["components"]["schemas"]["basic-error"])
        } else {
            return Err(format!("{name}: not a status of this call"));
        };
        match (schema, body) {
            (Some(schema), Some(body)) => self.fits(schema, body).map_err(|e| format!("{name}: {e}")),
            (None, Some(body)) if !body.as_object().is_some_and(serde_json::Map::is_empty) => {
                Err(format!("{name}: has no body"))
            }
            (Some(_), None) => Err(format!("{name}: needs a body")),
            (None, _) => Ok(()),
        }
    }

    /// A body for a reply: what is given, and for whatever else the description requires some value of the right type.
    pub fn complete(&self, call: &Call<'_>, status: u16, given: Value) -> Value {
        let reply = self.resolve(&call.operation["responses"][status.to_string()]);
        self.filled(&reply["content"]["application/json"]["schema"], given)
    }

    fn filled(&self, schema: &Value, given: Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(all) = schema["allOf"].as_array() {
            return all.iter().fold(given, |given, part| self.filled(part, given));
        }
        if let Some(first) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()).and_then(|any| any.first()) {
            return self.filled(first, given);
        }
        match given {
            Value::Object(mut members) => {
                let properties = &schema["properties"];
                for (name, value) in &mut members {
                    *value = self.filled(&properties[name], value.take());
                }
                for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if !members.contains_key(name) {
                        members.insert(name.to_owned(), self.some(&properties[name]));
                    }
                }
                Value::Object(members)
            }
            Value::Array(items) => items.into_iter().map(|item| self.filled(&schema["items"], item)).collect(),
            other => other,
        }
    }

    /// Some value that fits a schema.
    fn some(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
            return first.clone();
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let any = schema["allOf"].as_array().or(schema["anyOf"].as_array()).or(schema["oneOf"].as_array());
        match (types.first().copied(), schema["format"].as_str()) {
            _ if types.contains(&"null") || any.is_some_and(|a| a.iter().any(|s| s["type"] == "null")) => Value::Null,
            (Some("string"), Some("uri")) => json!("https://github.example/some"),
            (Some("string"), Some("date-time")) => json!("2026-01-02T03:04:05Z"),
            (Some("string"), Some("email")) => json!("some@corp.example"),
            (Some("string"), _) => json!("some"),
            (Some("integer" | "number"), _) => json!(1),
            (Some("boolean"), _) => json!(false),
            (Some("array"), _) => json!([]),
            _ => self.filled(schema, json!({})),
        }
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.resolve(self.description.pointer(&reference[1..]).unwrap()),
            None => value,
        }
    }

    /// Whether a value fits a schema of the description; the fault names the place, not the value.
    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let whole = json!({ "allOf": [schema], "components": self.description["components"] });
        let validator = jsonschema::options().should_validate_formats(true).build(&whole).map_err(|e| e.to_string())?;
        let faults: Vec<_> = validator
            .iter_errors(value)
            .take(5)
            .map(|e| format!("`{}` against {}", e.instance_path(), e.schema_path()))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

/// Whether a path is one of a template with `{names}`.
fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(w), Some(g)) if w == g || (w.starts_with('{') && !g.is_empty()) => {}
            _ => return false,
        }
    }
}

/// A path without what may be a value in it.
fn shape(path: &str) -> String {
    path.split('/').map(|s| if s.len() > 30 { "..." } else { s }).collect::<Vec<_>>().join("/")
}

fn accepts_json(accept: &str) -> bool {
    accept.split(',').any(|a| a.contains("json") || a.trim().starts_with("*/*"))
}

/// The pairs of a query, decoded.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    query.split('&').filter(|p| !p.is_empty()).map(pair).collect()
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten().and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
