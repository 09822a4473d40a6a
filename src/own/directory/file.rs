//! A directory in a CSV or JSON file.
//!
//! CSV has a header line. Columns, in any order and case: `email` (needed unless `login` is there; several separated by `;`
//! or spaces), `aliases`, `login` (several, too), `name`, `id`, `status`, `since`, `start`, `end`, `manager`, `team`. Usual other
//! spellings are taken (`mail`, `username`, `department`, `hire_date`, `termination_date`, ...); columns of other names are
//! passed over. JSON is an array of objects with the same keys, or an object with such an array under `people`, `users` or
//! `Resources`; lists may be arrays. `status` is `active`, `suspended` or `departed` (or a usual synonym); without it a person is
//! active until the day after `end`. Dates are `YYYY-MM-DD` or RFC 3339.
//!
//! Contract: a wrong line is an error with its number and what to do; nothing is passed over in silence.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::states;
use crate::model::{Person, PersonState};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 512 << 20;
/// The longest text of one field, in characters; the rest is cut.
const LONGEST: usize = 500;
/// The most addresses or log-in names of one person.
const MOST_NAMES: usize = 64;

/// What is wrong with a directory file.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {place}{message}")]
pub struct FileError {
    file: String,
    place: String,
    message: String,
}

impl FileError {
    fn new(path: &Path, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: path.display().to_string(), place: place.into(), message: message.into() }
    }
}

/// Reads the people of a file; `today` is an RFC 3339 date or moment.
///
/// # Errors
/// What is wrong, with its line (CSV) or entry (JSON).
pub fn read(path: &Path, today: &str) -> Result<Vec<Person>, FileError> {
    let fail = |e: std::io::Error| FileError::new(path, "", format!("cannot be read: {e}"));
    let mut text = Vec::new();
    std::fs::File::open(path).map_err(fail)?.take(LARGEST + 1).read_to_end(&mut text).map_err(fail)?;
    if text.len() as u64 > LARGEST {
        return Err(FileError::new(path, "", "is larger than 512 MiB"));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let json = text.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| matches!(b, b'[' | b'{'));
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    if json { json_people(path, &name, text, today) } else { csv_people(path, &name, text, today) }
}

/// The fields of a person, by their place in a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    Name,
    First,
    Last,
    Email,
    Login,
    Status,
    Since,
    Start,
    End,
    Manager,
    Team,
}

fn field(name: &str) -> Option<Field> {
    let name: String = name.trim().to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    Some(match name.as_str() {
        "id" | "employeeid" | "personid" | "userid" | "employeenumber" => Field::Id,
        "name" | "displayname" | "fullname" => Field::Name,
        "firstname" | "givenname" => Field::First,
        "lastname" | "familyname" | "surname" => Field::Last,
        "email" | "mail" | "emails" | "primaryemail" | "workemail" | "emailaddress" | "aliases" | "alias"
        | "emailaliases" | "otheremails" => Field::Email,
        "login" | "logins" | "username" | "usernames" | "user" | "account" | "handle" | "uid" | "samaccountname" => {
            Field::Login
        }
        "status" | "state" | "active" | "employmentstatus" => Field::Status,
        "since" | "statussince" => Field::Since,
        "start" | "startdate" | "hiredate" => Field::Start,
        "end" | "enddate" | "terminationdate" | "lastday" => Field::End,
        "manager" | "manageremail" | "supervisor" => Field::Manager,
        "team" | "department" | "group" => Field::Team,
        _ => return None,
    })
}

/// Collects the fields of one person.
#[derive(Default)]
struct Draft {
    person: Person,
    first: Option<String>,
    last: Option<String>,
    status: Option<PersonState>,
    since: Option<String>,
    end: Option<String>,
}

impl Draft {
    fn set(&mut self, field: Field, value: &str) -> Result<(), String> {
        let value: String = value.trim().chars().take(LONGEST).collect();
        if value.is_empty() {
            return Ok(());
        }
        let person = &mut self.person;
        match field {
            Field::Id => person.id = value,
            Field::Name => person.name = Some(value),
            Field::First => self.first = Some(value),
            Field::Last => self.last = Some(value),
            Field::Email => add_names(&mut person.emails, &value),
            Field::Login => add_names(&mut person.logins, &value),
            Field::Status => {
                let known = states::state(&value);
                self.status = Some(known.ok_or_else(|| {
                    format!(
                        "status `{}`: write active, suspended or departed",
                        crate::notes::printable(value.as_bytes())
                    )
                })?);
            }
            Field::Since => self.since = Some(date(&value)?),
            Field::Start => person.start = Some(date(&value)?),
            Field::End => self.end = Some(date(&value)?),
            Field::Manager => person.manager = Some(value),
            Field::Team => person.team = Some(value),
        }
        Ok(())
    }

    fn finish(mut self, directory: &str, today: &str) -> Result<Person, String> {
        if self.person.emails.is_empty() && self.person.logins.is_empty() {
            return Err("has neither an e-mail address nor a log-in name".into());
        }
        let (state, since) = states::at(today, self.status, self.end.as_deref());
        self.person.state = state;
        self.person.since = self.since.or(since);
        self.person.directory = directory.to_owned();
        if self.person.name.is_none() {
            let parts: Vec<String> = [self.first, self.last].into_iter().flatten().collect();
            self.person.name = Some(parts.join(" ")).filter(|n| !n.is_empty());
        }
        if self.person.id.is_empty() {
            self.person.id = self.person.emails.first().or(self.person.logins.first()).cloned().unwrap_or_default();
        }
        Ok(self.person)
    }
}

fn add_names(list: &mut Vec<String>, value: &str) {
    let names = value.split([';', ',', ' ', '|']).map(|n| n.trim().trim_start_matches("mailto:").to_lowercase());
    for name in names.filter(|n| !n.is_empty()) {
        if list.len() < MOST_NAMES && !list.contains(&name) {
            list.push(name);
        }
    }
}

/// A date as RFC 3339 has it.
fn date(value: &str) -> Result<String, String> {
    let valid = value.parse::<jiff::Timestamp>().is_ok()
        || value.parse::<jiff::civil::Date>().is_ok()
        || value.parse::<jiff::civil::DateTime>().is_ok();
    let shown = || crate::notes::printable(value.as_bytes());
    if valid { Ok(value.to_owned()) } else { Err(format!("date `{}`: write YYYY-MM-DD", shown())) }
}

fn csv_people(path: &Path, name: &str, text: &[u8], today: &str) -> Result<Vec<Person>, FileError> {
    let delimiter = delimiter(text);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text);
    let at = |line: u64| format!("line {line}: ");
    let header = reader.byte_headers().map_err(|e| FileError::new(path, at(1), e.to_string()))?.clone();
    let fields: Vec<Option<Field>> = header.iter().map(|h| field(&String::from_utf8_lossy(h))).collect();
    if !fields.iter().any(|f| matches!(f, Some(Field::Email | Field::Login))) {
        return Err(FileError::new(
            path,
            at(1),
            "no column is called `email` or `login`: give the columns a header line",
        ));
    }
    let mut people = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|e| FileError::new(path, "", e.to_string()))? {
        let line = record.position().map_or(0, csv::Position::line);
        let mut draft = Draft::default();
        for (value, field) in record.iter().zip(&fields) {
            if let Some(field) = field {
                draft
                    .set(*field, &String::from_utf8_lossy(value))
                    .map_err(|message| FileError::new(path, at(line), message))?;
            }
        }
        people.push(draft.finish(name, today).map_err(|message| FileError::new(path, at(line), message))?);
    }
    Ok(people)
}

/// Comma, semicolon or tab: whichever the header line has most of.
fn delimiter(text: &[u8]) -> u8 {
    let header = text.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |d: u8| header.iter().filter(|b| **b == d).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| count(*d)).unwrap_or(b',')
}

fn json_people(path: &Path, name: &str, text: &[u8], today: &str) -> Result<Vec<Person>, FileError> {
    let document: Value = serde_json::from_slice(text)
        .map_err(|e| FileError::new(path, format!("line {}, column {}: ", e.line(), e.column()), "this is not JSON"))?;
    let list = match &document {
        Value::Array(list) => Some(list),
        Value::Object(map) => ["people", "users", "Resources"].iter().find_map(|k| map.get(*k)?.as_array()),
        _ => None,
    };
    let list = list.ok_or_else(|| FileError::new(path, "", "holds no list of people"))?;
    let mut people = Vec::new();
    for (i, entry) in list.iter().enumerate() {
        let fail = |message: String| FileError::new(path, format!("person {}: ", i + 1), message);
        let object = entry.as_object().ok_or_else(|| fail("is no object".into()))?;
        let mut draft = Draft::default();
        for (key, value) in object {
            let Some(field) = field(key) else { continue };
            for text in texts(value) {
                draft.set(field, &text).map_err(fail)?;
            }
        }
        people.push(draft.finish(name, today).map_err(fail)?);
    }
    Ok(people)
}

/// A value as texts: itself, its items, or the `value` of each.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(_) | Value::Bool(_) => vec![value.to_string()],
        Value::Array(items) => items.iter().take(MOST_NAMES).flat_map(texts).collect(),
        Value::Object(map) => map.get("value").map(texts).unwrap_or_default(),
        Value::Null => Vec::new(),
    }
}
