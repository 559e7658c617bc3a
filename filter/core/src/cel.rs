//! Costs as expressions in CEL, as far as a number of tokens needs it: <https://github.com/google/cel-spec>.
//!
//! Numbers, strings and truth values, with operators, conversions and what strings are compared by; no lists but behind
//! `in`, no macros. So the work is bounded by the text, and evaluating takes no memory. Types are as strict as in
//! cel-go: they are known once the text is read, and `uint * int` is no expression.

mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::usage::{Counter, Usage};

/// An expression whose value is a number of its request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: String,
    root: Node,
}

/// What an expression may speak of.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    /// The model that the backend was asked for.
    pub model: &'a str,
    /// `name.namespace` of the backend.
    pub backend: &'a str,
    /// `namespace/name` of the route.
    pub route_name: &'a str,
    /// The counters, by their names in records; those that were not reported are 0.
    pub usage: &'a Usage,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// In characters; the first is 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.problem)
    }
}

/// Why an expression has no value for this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A result is no number of its type.
    Overflow,
    /// A division by zero.
    DivisionByZero,
    /// Types are not what they were found to be: a mistake of the gateway's own.
    Type,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Overflow => "a number is too large or too small",
            Fault::DivisionByZero => "a division by zero",
            Fault::Type => "a value is not of its type",
        })
    }
}

impl Expression {
    /// Reads `text`.
    ///
    /// # Errors
    ///
    /// Where it is no expression, or its value is no integer.
    pub fn new(text: &str) -> Result<Expression, Mistake> {
        Ok(Expression { text: text.to_owned(), root: parse::cost(text)? })
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// Where it has none: integers do not wrap, and no cost is negative.
    pub fn value(&self, variables: &Variables<'_>) -> Result<u64, Fault> {
        match self.root.value(variables)?.converted(Type::Uint)? {
            Value::Uint(value) => Ok(value),
            _ => Err(Fault::Type),
        }
    }

    /// What is wrong with it where nothing was used: so Envoy AI Gateway tries expressions out.
    ///
    /// # Errors
    ///
    /// As [`Expression::value`].
    pub fn try_out(&self) -> Result<(), Fault> {
        let (dummy, usage) = ("dummy", &Usage::default());
        self.value(&Variables { model: dummy, backend: dummy, route_name: dummy, usage }).map(drop)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> String {
        expression.text
    }
}

impl TryFrom<String> for Expression {
    type Error = Mistake;

    fn try_from(text: String) -> Result<Expression, Mistake> {
        Expression::new(&text)
    }
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Int(i64),
    Uint(u64),
    Double(f64),
    Bool(bool),
    Text(&'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Int,
    Uint,
    Double,
    Bool,
    Text,
}

/// A part of an expression. Operands fit together.
#[derive(Debug, Clone)]
enum Node {
    Int(i64),
    Uint(u64),
    Double(f64),
    Bool(bool),
    Text(String),
    Counter(Counter),
    Model,
    Backend,
    RouteName,
    Not(Box<Node>),
    /// `||` where that is true, else `&&`.
    Either(bool, Box<[Node; 2]>),
    Arithmetic(&'static Arithmetic, Box<[Node; 2]>),
    Comparison(&'static Comparison, Box<[Node; 2]>),
    Match(&'static Matching, Box<[Node; 2]>),
    /// The first is one of the others.
    In(Box<Node>, Vec<Node>),
    /// The second if the first is true, else the third.
    Choice(Box<[Node; 3]>),
    Conversion(Type, Box<Node>),
}

#[derive(Debug)]
struct Arithmetic {
    sign: &'static str,
    int: fn(i64, i64) -> Option<i64>,
    uint: fn(u64, u64) -> Option<u64>,
    double: Option<fn(f64, f64) -> f64>,
}

static SUMS: [Arithmetic; 2] = [
    Arithmetic { sign: "+", int: i64::checked_add, uint: u64::checked_add, double: Some(|a, b| a + b) },
    Arithmetic { sign: "-", int: i64::checked_sub, uint: u64::checked_sub, double: Some(|a, b| a - b) },
];

static PRODUCTS: [Arithmetic; 3] = [
    Arithmetic { sign: "*", int: i64::checked_mul, uint: u64::checked_mul, double: Some(|a, b| a * b) },
    Arithmetic { sign: "/", int: i64::checked_div, uint: u64::checked_div, double: Some(|a, b| a / b) },
    Arithmetic { sign: "%", int: i64::checked_rem, uint: u64::checked_rem, double: None },
];

impl Arithmetic {
    fn of<'a>(&self, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Fault> {
        let divides = matches!(self.sign, "/" | "%");
        match (left, right) {
            (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) if divides => {
                Err(Fault::DivisionByZero)
            }
            (Value::Int(a), Value::Int(b)) => (self.int)(a, b).map(Value::Int).ok_or(Fault::Overflow),
            (Value::Uint(a), Value::Uint(b)) => (self.uint)(a, b).map(Value::Uint).ok_or(Fault::Overflow),
            (Value::Double(a), Value::Double(b)) => {
                self.double.map(|double| Value::Double(double(a, b))).ok_or(Fault::Type)
            }
            _ => Err(Fault::Type),
        }
    }
}

/// A sign, and in which order sides must be for it to hold; what is no number is in none.
type Comparison = (&'static str, fn(Option<Ordering>) -> bool);

static COMPARISONS: [Comparison; 6] = [
    ("==", |order| order == Some(Ordering::Equal)),
    ("!=", |order| order != Some(Ordering::Equal)),
    ("<", |order| order == Some(Ordering::Less)),
    ("<=", |order| matches!(order, Some(Ordering::Less | Ordering::Equal))),
    (">", |order| order == Some(Ordering::Greater)),
    (">=", |order| matches!(order, Some(Ordering::Greater | Ordering::Equal))),
];

/// A method of strings, and whether it holds of one and its argument.
type Matching = (&'static str, fn(&str, &str) -> bool);

static MATCHINGS: [Matching; 3] = [
    ("contains", |text, part| text.contains(part)),
    ("startsWith", |text, part| text.starts_with(part)),
    ("endsWith", |text, part| text.ends_with(part)),
];

impl Node {
    fn value<'a>(&'a self, variables: &Variables<'a>) -> Result<Value<'a>, Fault> {
        let of = |node: &'a Node| node.value(variables);
        Ok(match self {
            Node::Int(value) => Value::Int(*value),
            Node::Uint(value) => Value::Uint(*value),
            Node::Double(value) => Value::Double(*value),
            Node::Bool(value) => Value::Bool(*value),
            Node::Text(value) => Value::Text(value),
            Node::Counter(Counter::Total) => Value::Uint(variables.usage.total_or_sum().unwrap_or(0)),
            Node::Counter(counter) => Value::Uint(variables.usage.get(*counter).unwrap_or(0)),
            Node::Model => Value::Text(variables.model),
            Node::Backend => Value::Text(variables.backend),
            Node::RouteName => Value::Text(variables.route_name),
            Node::Not(node) => Value::Bool(!of(node)?.truth()?),
            Node::Either(decisive, sides) => {
                // A fault of the one does not matter where the other decides.
                let [left, right] = sides.each_ref().map(|side| move || of(side).and_then(Value::truth));
                let left = left();
                if left == Ok(*decisive) {
                    return left.map(Value::Bool);
                }
                let right = right();
                Value::Bool(if right == Ok(*decisive) { *decisive } else { left.and(right)? })
            }
            Node::Arithmetic(arithmetic, sides) => {
                let [left, right] = &**sides;
                arithmetic.of(of(left)?, of(right)?)?
            }
            Node::Comparison((_, holds), sides) => {
                let [left, right] = &**sides;
                Value::Bool(holds(of(left)?.order(of(right)?)))
            }
            Node::Match((_, holds), sides) => {
                let [text, part] = &**sides;
                let (Value::Text(text), Value::Text(part)) = (of(text)?, of(part)?) else {
                    return Err(Fault::Type);
                };
                Value::Bool(holds(text, part))
            }
            Node::In(node, list) => {
                let value = of(node)?;
                let mut is_there = false;
                for other in list {
                    is_there |= value.order(of(other)?) == Some(Ordering::Equal);
                }
                Value::Bool(is_there)
            }
            Node::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                of(if of(condition)?.truth()? { then } else { otherwise })?
            }
            Node::Conversion(to, node) => of(node)?.converted(*to)?,
        })
    }
}

impl<'a> Value<'a> {
    fn truth(self) -> Result<bool, Fault> {
        if let Value::Bool(value) = self { Ok(value) } else { Err(Fault::Type) }
    }

    fn order(self, other: Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(left), Value::Int(right)) => Some(left.cmp(&right)),
            (Value::Uint(left), Value::Uint(right)) => Some(left.cmp(&right)),
            (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(&right)),
            (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
            (Value::Double(left), Value::Double(right)) => left.partial_cmp(&right),
            _ => None,
        }
    }

    /// Fractions are cut off.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "what does not fit is refused, and a double is what was asked for"
    )]
    fn converted(self, to: Type) -> Result<Value<'a>, Fault> {
        // The first double above each of them, and the last below the former: the ends are no numbers of 64 bits.
        const INTS: std::ops::Range<f64> = -9_223_372_036_854_774_784.0..9_223_372_036_854_775_808.0;
        const UINTS: std::ops::Range<f64> = 0.0..18_446_744_073_709_551_616.0;
        let value = match (to, self) {
            (Type::Int, Value::Uint(value)) => i64::try_from(value).ok().map(Value::Int),
            (Type::Uint, Value::Int(value)) => u64::try_from(value).ok().map(Value::Uint),
            (Type::Int, Value::Double(value)) => INTS.contains(&value).then_some(Value::Int(value as i64)),
            (Type::Uint, Value::Double(value)) => UINTS.contains(&value).then_some(Value::Uint(value as u64)),
            (Type::Double, Value::Int(value)) => Some(Value::Double(value as f64)),
            (Type::Double, Value::Uint(value)) => Some(Value::Double(value as f64)),
            (Type::Int, Value::Int(_)) | (Type::Uint, Value::Uint(_)) | (Type::Double, Value::Double(_)) => {
                Some(self)
            }
            _ => return Err(Fault::Type),
        };
        value.ok_or(Fault::Overflow)
    }
}
