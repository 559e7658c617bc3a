//! An explanation as a person reads it.

use std::fmt;

use serde_json::Value;

use super::{Answer, Backend, Explanation, Made};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = if self.stream { ", streamed" } else { "" };
        writeln!(f, "endpoint  {}{stream}", self.endpoint.unwrap_or("none"))?;
        if !self.model.is_empty() {
            writeln!(f, "model     {}", self.model)?;
        }
        if let Some(route) = &self.route {
            writeln!(f, "rule      {} (rule {} of {})", route.name, route.rule, route.resource)?;
            writeln!(f, "listener  {}", route.listener)?;
            lines(f, "because", &route.because)?;
            lines(f, "limits", &route.limits)?;
        }
        if let Some(answer) = &self.answer {
            write!(f, "answer    {answer}")?;
        }
        for (index, backend) in self.backends.iter().enumerate() {
            write!(f, "\n{}. {backend}", index + 1)?;
        }
        Ok(())
    }
}

/// A line for each, the first behind its name.
fn lines(f: &mut fmt::Formatter<'_>, name: &str, values: &[String]) -> fmt::Result {
    for (index, value) in values.iter().enumerate() {
        writeln!(f, "{:<9} {value}", if index == 0 { name } else { "" })?;
    }
    Ok(())
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (priority {}, weight {})", self.name, self.priority, self.weight)?;
        let field = |f: &mut fmt::Formatter<'_>, name: &str, value: &str| writeln!(f, "   {name:<11}{value}");
        field(f, "at", &self.endpoints.join(", "))?;
        if let Some(schema) = &self.schema {
            field(f, "schema", schema)?;
        }
        if let Some(credential) = &self.credential {
            field(f, "credential", credential)?;
        }
        for loss in &self.losses {
            field(f, "loses", loss)?;
        }
        if let Some(answer) = &self.refused {
            write!(f, "   cannot be asked this: {answer}")?;
        }
        self.request.as_ref().map_or(Ok(()), |request| write!(f, "{request}"))
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "   model      {}", self.model)?;
        writeln!(f, "   path       {}", self.path)?;
        for (index, (name, value)) in self.headers.iter().enumerate() {
            writeln!(f, "   {:<11}{name}: {value}", if index == 0 { "headers" } else { "" })?;
        }
        indented(f, &self.body)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        indented(f, &self.body)
    }
}

fn indented(f: &mut fmt::Formatter<'_>, body: &Value) -> fmt::Result {
    match body {
        Value::String(text) => text.lines().try_for_each(|line| writeln!(f, "   {line}")),
        json => format!("{json:#}").lines().try_for_each(|line| writeln!(f, "   {line}")),
    }
}
