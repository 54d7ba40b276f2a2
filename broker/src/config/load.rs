//! Puts the sources of a broker's configuration together: file, environment, command line.

use std::collections::BTreeMap;

use super::broker::{self, BrokerConfig, put_over};
use super::error::ConfigError;
use super::{Overrides, ignored, java, properties};

/// A properties file that has been read.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// A configuration, and what its user should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: BrokerConfig,
    /// One sentence each: unknown options, known ones without effect.
    pub warnings: Vec<String>,
}

/// Environment variables with our prefix that are not options, and what they are for.
pub const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("TIDEMARK_BIN", "the binary that test scripts start"),
    (
        "TIDEMARK_BOOTSTRAP",
        "the cluster that commands ask, as with --bootstrap",
    ),
    ("TIDEMARK_CONFIG", "the file to read, as with --config"),
    (
        "TIDEMARK_LOG",
        "which log messages are written, as target=level,...",
    ),
    (
        "TIDEMARK_PASSWORD",
        "the password of the user that commands name with --user",
    ),
    (
        "TIDEMARK_TOOLS",
        "where test scripts keep the programs they download",
    ),
];

/// The prefix of environment variables, and in lower case of our own options.
const PREFIX: &str = "TIDEMARK_";
const OWN: &str = "tidemark.";

/// Names at a distance up to this are suggested for an unknown one.
const SUGGESTION_DISTANCE: usize = 3;

/// The environment variable that sets an option: `TIDEMARK_` and the name in capitals with
/// underscores for dots. Our own options do not repeat the prefix.
pub fn environment_name(option: &str) -> String {
    let name = option.strip_prefix(OWN).unwrap_or(option);
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('.', "_"))
}

/// Makes a configuration from a file, environment variables and `--set key=value` settings. Each
/// of them overrules the ones before it, and all overrule the defaults; among `set` the last one
/// counts. A name that a stronger source sets also overrules the option's other names from weaker
/// sources: `--set log.retention.hours=1` counts although the file has `log.retention.ms`.
///
/// # Errors
/// Everything wrong with all sources, each with the place it came from.
pub fn load(
    file: Option<SourceFile<'_>>,
    set: &[(String, String)],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let mut sources = Sources::default();
    if let Some(file) = file {
        sources.add_file(file)?;
    }
    sources.add_environment(environment);
    sources.add_settings(set);
    sources.drop_controller_listeners();
    sources.finish()
}

#[derive(Default)]
struct Sources {
    values: Overrides,
    origins: BTreeMap<String, String>,
    /// Values of `controller.listener.names`.
    controllers: Vec<String>,
    warnings: Vec<String>,
    errors: Vec<ConfigError>,
}

impl Sources {
    fn add_file(&mut self, file: SourceFile<'_>) -> Result<(), ConfigError> {
        let properties = properties::parse(file.text).map_err(|error| error.at(file.name))?;
        let settings = properties.into_iter().map(|property| {
            (
                property.key,
                property.value,
                format!("{} line {}", file.name, property.line),
            )
        });
        self.add_layer(settings);
        Ok(())
    }

    fn add_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        let mut settings = Vec::new();
        for (variable, value) in environment {
            if !variable.starts_with(PREFIX)
                || OTHER_VARIABLES.iter().any(|(name, _)| *name == variable)
            {
                continue;
            }
            match option_of_variable(&variable) {
                Some(name) => settings.push((name, value, variable)),
                None => self.warnings.push(unknown_variable(&variable)),
            }
        }
        settings.sort();
        self.add_layer(settings);
    }

    fn add_settings(&mut self, set: &[(String, String)]) {
        let settings = set
            .iter()
            .map(|(key, value)| (key.clone(), value.clone(), format!("--set {key}")));
        self.add_layer(settings);
    }

    /// Adds one source's (name, value, place) on top of what is there.
    fn add_layer(&mut self, settings: impl IntoIterator<Item = (String, String, String)>) {
        let mut layer = Overrides::new();
        for (name, value, origin) in settings {
            if broker::option(&name).is_some() {
                self.origins.insert(name.clone(), origin);
                layer.insert(name, value);
            } else if let Some(ignored) = ignored::find(&name) {
                self.add_ignored(ignored, &name, &value, &origin);
            } else {
                self.warnings.push(unknown_option(&name, &origin));
            }
        }
        put_over(&mut self.values, &layer);
    }

    fn add_ignored(&mut self, ignored: &ignored::Ignored, name: &str, value: &str, origin: &str) {
        if name == "controller.listener.names" {
            self.controllers = java::split_list(value);
        }
        if !ignored.refused {
            self.warnings
                .push(format!("{origin}: {name} has no effect: {}", ignored.why));
        } else if !java::trim(value).is_empty() {
            let error =
                ConfigError::invalid(name, value, format!("must not be set: {}", ignored.why));
            self.errors.push(error.at(origin));
        }
    }

    /// A KRaft configuration lists the controller's listener among the broker's. Nothing would
    /// answer there, so it is not opened.
    fn drop_controller_listeners(&mut self) {
        for key in ["listeners", "advertised.listeners"] {
            let Some(text) = self.values.get_mut(key) else {
                continue;
            };
            let is_controller = |entry: &String| {
                let name = entry.split("://").next().unwrap_or(entry);
                self.controllers
                    .iter()
                    .any(|controller| controller.eq_ignore_ascii_case(name))
            };
            let (dropped, kept): (Vec<String>, Vec<String>) =
                java::split_list(text).into_iter().partition(is_controller);
            if !dropped.is_empty() {
                *text = kept.join(",");
            }
        }
    }

    fn finish(mut self) -> Result<Loaded, ConfigError> {
        match BrokerConfig::from_given(self.values) {
            Ok(config) if self.errors.is_empty() => {
                return Ok(Loaded {
                    config,
                    warnings: self.warnings,
                });
            }
            Ok(_) => {}
            Err(ConfigError::Several(errors)) => self.errors.extend(
                errors
                    .into_iter()
                    .map(|error| with_origin(error, &self.origins)),
            ),
            Err(error) => self.errors.push(with_origin(error, &self.origins)),
        }
        match self.errors.len() {
            1 => Err(self.errors.remove(0)),
            _ => Err(ConfigError::Several(self.errors)),
        }
    }
}

fn with_origin(error: ConfigError, origins: &BTreeMap<String, String>) -> ConfigError {
    let origin = match &error {
        ConfigError::Invalid { key, .. } => origins.get(key).cloned(),
        _ => None,
    };
    match origin {
        Some(origin) => error.at(origin),
        None => error,
    }
}

/// The option, effective or ignored, that an environment variable names.
fn option_of_variable(variable: &str) -> Option<String> {
    let names = broker::OPTIONS.iter().map(|spec| spec.name);
    let known = names.chain(ignored::IGNORED.iter().map(|ignored| ignored.name));
    let exact = known
        .into_iter()
        .find(|name| environment_name(name) == variable);
    // Names under an ignored prefix have underscores and dots that cannot be told apart. For a
    // name that has no effect anyway, dots are a good enough guess.
    let dotted = || {
        variable
            .strip_prefix(PREFIX)
            .map(|n| n.to_ascii_lowercase().replace('_', "."))
    };
    exact
        .map(str::to_owned)
        .or_else(|| dotted().filter(|name| ignored::find(name).is_some()))
}

fn unknown_option(name: &str, origin: &str) -> String {
    let names = broker::OPTIONS.iter().map(|spec| spec.name.to_owned());
    format!("{origin}: unknown option {name}{}", suggestion(name, names))
}

fn unknown_variable(variable: &str) -> String {
    let names = broker::OPTIONS
        .iter()
        .map(|spec| environment_name(spec.name));
    format!(
        "unknown environment variable {variable}{}",
        suggestion(variable, names)
    )
}

fn suggestion(name: &str, known: impl Iterator<Item = String>) -> String {
    let near = known.map(|other| (distance(name, &other), other)).min();
    match near {
        Some((distance, other)) if distance <= SUGGESTION_DISTANCE => {
            format!("; did you mean {other}?")
        }
        _ => String::new(),
    }
}

/// How many letters must be changed, added or removed to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut next = vec![at + 1];
        let pairs = row.iter().zip(row.iter().skip(1)).zip(&b);
        for ((diagonal, above), other) in pairs {
            let left = next.last().copied().unwrap_or(0);
            let changed = diagonal + usize::from(letter != *other);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
