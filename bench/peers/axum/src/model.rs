//! The JSON of requests and answers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    pub id: Uuid,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub external_ref: Option<String>,
}

#[derive(Serialize)]
pub struct Reached {
    #[serde(flatten)]
    pub asset: Reference,
    pub depth: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    pub id: Uuid,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub effective_status: String,
    pub caused_by: Vec<Reference>,
    pub more_causes: bool,
    pub description: String,
    pub tags: Vec<String>,
    pub config: Box<RawValue>,
    pub secret_ref: Option<Box<RawValue>>,
    pub managed_by: String,
    pub external_ref: Option<String>,
    pub depends_on: Vec<String>,
    pub unresolved: Vec<String>,
    pub version: i32,
    pub created_at: String,
    pub updated_at: String,
}

/// An entry of the history has these fields of a new asset.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded<'a> {
    pub name: &'a str,
    #[serde(rename = "type")]
    pub kind: &'a str,
    pub status: &'a str,
    pub description: &'a str,
    pub tags: &'a [String],
    pub config: &'a RawValue,
    pub secret_ref: &'a Option<Box<RawValue>>,
    pub managed_by: &'a str,
    pub external_ref: &'a Option<String>,
    pub depends_on: &'a [String],
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub enum Kind {
    ApiEndpoint,
    DatabaseConnection,
    KubernetesDeployment,
    KubernetesService,
    Configuration,
    MessageQueue,
    ObjectStore,
    Other,
}

impl Kind {
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::ApiEndpoint => &["url"],
            Self::DatabaseConnection => &["engine", "host", "database"],
            Self::KubernetesDeployment => &["namespace", "name"],
            _ => &[],
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
pub enum Status {
    #[default]
    Draft,
    Active,
    Inactive,
    Failed,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    pub name: String,
    pub key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewAsset {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default)]
    pub status: Status,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub config: Map<String, Value>,
    pub secret_ref: Option<SecretRef>,
    #[serde(default)]
    pub depends_on: Vec<String>,
}

/// Names in `config` that are refused. The registry's own detector also knows values.
const CREDENTIALS: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "privatekey",
    "private_key",
    "credential",
];

impl NewAsset {
    /// Check what the types do not.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if name.is_empty()
            || name.chars().count() > 253
            || name.trim() != name
            || name.chars().any(char::is_control)
        {
            return Err("name: must be 1 to 253 characters of plain text".into());
        }
        if self.description.chars().count() > 1024 {
            return Err("description: is too long".into());
        }
        if self.tags.len() > 32 || !unique(&self.tags) || !self.tags.iter().all(|tag| is_tag(tag)) {
            return Err("tags: must be at most 32 different labels".into());
        }
        if self.depends_on.len() > 1000 || !unique(&self.depends_on) {
            return Err("dependsOn: must be at most 1000 different assets".into());
        }
        if let Some(missing) = self.kind.required().iter().find(|key| !self.has(key)) {
            return Err(format!("config: needs {missing}"));
        }
        if names_a_credential(&self.config) {
            return Err("config: looks like a credential".into());
        }
        Ok(())
    }

    fn has(&self, key: &str) -> bool {
        !matches!(self.config.get(key), None | Some(Value::Null))
            && self.config.get(key) != Some(&Value::String(String::new()))
    }
}

fn unique(values: &[String]) -> bool {
    values
        .iter()
        .collect::<std::collections::HashSet<_>>()
        .len()
        == values.len()
}

fn is_tag(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && alphanumeric(bytes[0])
        && alphanumeric(bytes[bytes.len() - 1])
        && bytes
            .iter()
            .all(|&byte| alphanumeric(byte) || b"-_.:".contains(&byte))
}

fn names_a_credential(config: &Map<String, Value>) -> bool {
    config.iter().any(|(name, value)| {
        let name = name.to_lowercase();
        CREDENTIALS.iter().any(|word| name.contains(word)) || holds_one(value)
    })
}

fn holds_one(value: &Value) -> bool {
    match value {
        Value::Object(fields) => names_a_credential(fields),
        Value::Array(values) => values.iter().any(holds_one),
        _ => false,
    }
}
