//! From a text to an expression whose types fit together.

use super::{Arithmetic, COMPARISONS, Comparison, MATCHINGS, Mistake, Node, PRODUCTS, SUMS, Type};
use crate::usage::Counter;

/// The longest text, in bytes: room for a line for each of many models.
const LONGEST: usize = 8 << 10;

/// How many parts may be inside each other. Each takes room on the stack, here and when it is evaluated.
const DEEPEST: usize = 64;

/// How many operators may follow one another, which are inside each other as well.
const MOST_IN_A_ROW: usize = 250;

/// Longer ones first.
const SIGNS: [&str; 22] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", "[", "]",
    ",", ".",
];

/// An operator between two sides.
#[derive(Clone, Copy)]
enum Operator {
    Either(bool),
    In,
    Comparison(&'static Comparison),
    Arithmetic(&'static Arithmetic),
}

/// How tightly operators bind, at most.
const TIGHTEST: usize = 4;

type Result<T> = std::result::Result<T, Mistake>;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    Name(String),
    Sign(&'static str),
    End,
}

/// A part, its type, and where it begins, in bytes.
struct Typed {
    node: Node,
    of: Type,
    at: usize,
}

struct Parser<'t> {
    text: &'t str,
    /// Where what is not read yet begins.
    rest: usize,
    /// The next token.
    token: Token,
    /// Where that begins.
    at: usize,
    depth: usize,
}

/// The expression `text`, which must be an integer.
pub(super) fn cost(text: &str) -> Result<Node> {
    let mut parser = Parser { text, rest: 0, token: Token::End, at: 0, depth: 0 };
    if text.len() > LONGEST {
        return Err(parser.mistake(0, format!("an expression has at most {LONGEST} bytes")));
    }
    parser.advance()?;
    let whole = parser.expression()?;
    if parser.token != Token::End {
        return Err(parser.unexpected());
    }
    match whole.of {
        Type::Int | Type::Uint => Ok(whole.node),
        other => Err(parser.mistake(0, format!("a cost is int or uint, and this is {}", name_of(other)))),
    }
}

fn name_of(of: Type) -> &'static str {
    match of {
        Type::Int => "int",
        Type::Uint => "uint",
        Type::Double => "double",
        Type::Bool => "bool",
        Type::Text => "string",
    }
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<Typed> {
        self.nested(|parser| {
            let mut choices: Vec<(Typed, Typed)> = Vec::new();
            let mut whole = parser.binary(0)?;
            while parser.takes("?")? {
                parser.wants(&whole, Type::Bool)?;
                let then = parser.binary(0)?;
                parser.expects(":")?;
                choices.push((whole, then));
                parser.bounds(choices.len())?;
                whole = parser.binary(0)?;
            }
            for (_, then) in &choices {
                parser.wants(then, whole.of)?;
            }
            let choice = |otherwise: Typed, (condition, then): (Typed, Typed)| {
                let parts = [condition.node, then.node, otherwise.node];
                Typed { node: Node::Choice(Box::new(parts)), of: then.of, at: condition.at }
            };
            Ok(choices.into_iter().rev().fold(whole, choice))
        })
    }

    /// Operators of this level and those that bind tighter.
    fn binary(&mut self, level: usize) -> Result<Typed> {
        if level > TIGHTEST {
            return self.unary();
        }
        let tighter = level.saturating_add(1);
        let mut left = self.binary(tighter)?;
        let mut length = 0_usize;
        while let Some(operator) = self.operator(level) {
            let at = self.at;
            self.advance()?;
            length = length.saturating_add(1);
            self.bounds(length)?;
            left = match operator {
                Operator::In => self.list(left)?,
                operator => {
                    let right = self.binary(tighter)?;
                    self.joined(left, operator, at, right)?
                }
            };
        }
        Ok(left)
    }

    fn operator(&self, level: usize) -> Option<Operator> {
        let is_next = |sign: &str| self.is_next(sign);
        match level {
            0 => is_next("||").then_some(Operator::Either(true)),
            1 => is_next("&&").then_some(Operator::Either(false)),
            2 if is_next("in") => Some(Operator::In),
            2 => COMPARISONS.iter().find(|(sign, _)| is_next(sign)).map(Operator::Comparison),
            3 => SUMS.iter().find(|sum| is_next(sum.sign)).map(Operator::Arithmetic),
            _ => PRODUCTS.iter().find(|product| is_next(product.sign)).map(Operator::Arithmetic),
        }
    }

    /// What an operator, which is at `at`, makes of both sides.
    fn joined(&self, left: Typed, operator: Operator, at: usize, right: Typed) -> Result<Typed> {
        let sides = Box::new([left.node, right.node]);
        let (of, node) = match (operator, left.of) {
            _ if left.of != right.of => {
                let (left, right) = (name_of(left.of), name_of(right.of));
                let problem = format!(
                    "{left} and {right} do not go together: 2u is a uint, and uint(double(x) * 0.5) one of a fraction"
                );
                return Err(self.mistake(at, problem));
            }
            (Operator::Either(decisive), Type::Bool) => (Type::Bool, Node::Either(decisive, sides)),
            (Operator::Comparison(comparison), _) => (Type::Bool, Node::Comparison(comparison, sides)),
            (Operator::Arithmetic(arithmetic), of @ (Type::Int | Type::Uint)) => {
                (of, Node::Arithmetic(arithmetic, sides))
            }
            (Operator::Arithmetic(arithmetic), Type::Double) if arithmetic.double.is_some() => {
                (Type::Double, Node::Arithmetic(arithmetic, sides))
            }
            (_, of) => return Err(self.mistake(at, format!("a {} cannot stand here", name_of(of)))),
        };
        Ok(Typed { node, of, at: left.at })
    }

    /// The list behind `in`.
    fn list(&mut self, left: Typed) -> Result<Typed> {
        self.expects("[")?;
        let mut list = Vec::new();
        while !self.takes("]")? {
            if !list.is_empty() {
                self.expects(",")?;
            }
            let element = self.expression()?;
            self.wants(&element, left.of)?;
            list.push(element.node);
        }
        Ok(Typed { node: Node::In(Box::new(left.node), list), of: Type::Bool, at: left.at })
    }

    fn unary(&mut self) -> Result<Typed> {
        let at = self.at;
        if self.takes("!")? {
            let part = self.nested(Self::unary)?;
            self.wants(&part, Type::Bool)?;
            return Ok(Typed { node: Node::Not(Box::new(part.node)), at, ..part });
        }
        if !self.takes("-")? {
            return self.member();
        }
        let part = self.nested(Self::unary)?;
        let zero = match part.of {
            Type::Int => Node::Int(0),
            Type::Double => Node::Double(-0.0),
            of => return Err(self.mistake(at, format!("there is no -{}", name_of(of)))),
        };
        let [_, minus] = &SUMS;
        Ok(Typed { node: Node::Arithmetic(minus, Box::new([zero, part.node])), at, ..part })
    }

    /// A part, and what is asked of it behind dots.
    fn member(&mut self) -> Result<Typed> {
        let mut part = self.primary()?;
        while self.takes(".")? {
            let method = MATCHINGS.iter().find(|(name, _)| self.is_next(name));
            let Some(method) = method else { return Err(self.unexpected()) };
            self.advance()?;
            self.wants(&part, Type::Text)?;
            let argument = self.argument()?;
            self.wants(&argument, Type::Text)?;
            let node = Node::Match(method, Box::new([part.node, argument.node]));
            part = Typed { node, of: Type::Bool, at: part.at };
        }
        Ok(part)
    }

    fn primary(&mut self) -> Result<Typed> {
        if self.is_next("(") {
            return self.argument();
        }
        let at = self.at;
        let (of, node) = match self.token.clone() {
            Token::Int(value) => match i64::try_from(value) {
                Ok(value) => (Type::Int, Node::Int(value)),
                Err(_) => return Err(self.mistake(at, NO_NUMBER.to_owned())),
            },
            Token::Uint(value) => (Type::Uint, Node::Uint(value)),
            Token::Double(value) => (Type::Double, Node::Double(value)),
            Token::Text(value) => (Type::Text, Node::Text(value)),
            Token::Name(name) => match &*name {
                "true" => (Type::Bool, Node::Bool(true)),
                "false" => (Type::Bool, Node::Bool(false)),
                "model" => (Type::Text, Node::Model),
                "backend" => (Type::Text, Node::Backend),
                "route_name" => (Type::Text, Node::RouteName),
                "int" => return self.conversion(Type::Int),
                "uint" => return self.conversion(Type::Uint),
                "double" => return self.conversion(Type::Double),
                _ => match Counter::ALL.iter().find(|counter| counter.name() == name) {
                    Some(counter) => (Type::Uint, Node::Counter(*counter)),
                    None => return Err(self.mistake(at, format!("a cost knows no {name}"))),
                },
            },
            Token::Sign(_) | Token::End => return Err(self.unexpected()),
        };
        self.advance()?;
        Ok(Typed { node, of, at })
    }

    fn conversion(&mut self, to: Type) -> Result<Typed> {
        let at = self.at;
        self.advance()?;
        let argument = self.argument()?;
        if matches!(argument.of, Type::Bool | Type::Text) {
            return Err(self.mistake(argument.at, format!("a {} cannot stand here", name_of(argument.of))));
        }
        Ok(Typed { node: Node::Conversion(to, Box::new(argument.node)), of: to, at })
    }

    /// One expression in parentheses.
    fn argument(&mut self) -> Result<Typed> {
        self.expects("(")?;
        let argument = self.expression()?;
        self.expects(")")?;
        Ok(argument)
    }

    fn nested(&mut self, part: impl FnOnce(&mut Self) -> Result<Typed>) -> Result<Typed> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEEPEST {
            return Err(self.mistake(self.at, format!("more than {DEEPEST} parts are inside each other")));
        }
        let part = part(self)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(part)
    }

    /// Refuses the last of so many operators in a row.
    fn bounds(&self, length: usize) -> Result<()> {
        if length <= MOST_IN_A_ROW {
            return Ok(());
        }
        Err(self.mistake(self.at, format!("more than {MOST_IN_A_ROW} operators follow one another")))
    }

    fn is_next(&self, word: &str) -> bool {
        match &self.token {
            Token::Sign(sign) => *sign == word,
            Token::Name(name) => name == word,
            _ => false,
        }
    }

    fn takes(&mut self, word: &str) -> Result<bool> {
        let is_next = self.is_next(word);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expects(&mut self, sign: &str) -> Result<()> {
        if self.takes(sign)? { Ok(()) } else { Err(self.mistake(self.at, format!("{sign} is missing here"))) }
    }

    fn wants(&self, part: &Typed, of: Type) -> Result<()> {
        if part.of == of {
            return Ok(());
        }
        let (is, must) = (name_of(part.of), name_of(of));
        Err(self.mistake(part.at, format!("this is of type {is}, and must be of type {must}")))
    }

    fn unexpected(&self) -> Mistake {
        let problem = if self.token == Token::End { "the expression ends too soon" } else { NO_PART };
        self.mistake(self.at, problem.to_owned())
    }

    fn mistake(&self, at: usize, problem: String) -> Mistake {
        let before = self.text.get(..at).unwrap_or(self.text);
        Mistake { column: before.chars().count().saturating_add(1), problem }
    }

    /// Reads the next token.
    fn advance(&mut self) -> Result<()> {
        let rest = self.text.get(self.rest..).unwrap_or_default().trim_ascii_start();
        self.at = self.text.len().saturating_sub(rest.len());
        let (token, length) = token(rest).map_err(|problem| self.mistake(self.at, problem.to_owned()))?;
        self.token = token;
        self.rest = self.at.saturating_add(length);
        Ok(())
    }
}

const NO_PART: &str = "this cannot stand here";
const NO_NUMBER: &str = "this is no number, or too large for one";

/// The token that `text` begins with, and its length in bytes.
fn token(text: &str) -> std::result::Result<(Token, usize), &'static str> {
    let Some(first) = text.chars().next() else { return Ok((Token::End, 0)) };
    if let Some(sign) = SIGNS.into_iter().find(|sign| text.starts_with(sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    if matches!(first, '"' | '\'') {
        let (value, _) =
            text.get(1..).and_then(|rest| rest.split_once(first)).ok_or("this string has no end")?;
        // Names need none.
        return match value.contains(['\\', '\n']) {
            true => Err("a string has no escapes here, and one line"),
            false => Ok((Token::Text(value.to_owned()), value.len().saturating_add(2))),
        };
    }
    let mut before = ' ';
    let is_number = first.is_ascii_digit();
    let ends = |c: char| {
        let is_sign = matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        before = c;
        !(c.is_ascii_alphanumeric() || c == '_' || is_number && (c == '.' || is_sign))
    };
    let length = text.find(ends).unwrap_or(text.len());
    let word = text.get(..length).unwrap_or_default();
    let token = match word.strip_suffix(['u', 'U']) {
        _ if word.is_empty() => return Err(NO_PART),
        _ if !is_number => Token::Name(word.to_owned()),
        Some(digits) => Token::Uint(digits.parse().map_err(|_| NO_NUMBER)?),
        None if word.bytes().all(|byte| byte.is_ascii_digit()) => {
            Token::Int(word.parse().map_err(|_| NO_NUMBER)?)
        }
        None => Token::Double(word.parse().ok().filter(|value: &f64| value.is_finite()).ok_or(NO_NUMBER)?),
    };
    Ok((token, length))
}
