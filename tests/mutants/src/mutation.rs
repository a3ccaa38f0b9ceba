//! What a mutation is, and how a source looks in which each of them can be switched on.

use std::fmt::Write as _;
use std::ops::Range;

/// The number by which the environment names a mutation.
pub type Id = usize;

/// How a mutation is written into its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Another expression in the place of this one.
    Expression,
    /// No statement in the place of this one.
    Statement,
    /// Code in front of what a block does.
    Entry,
    /// One more condition behind this pattern or condition.
    Condition,
}

/// One change of one place.
#[derive(Clone, Debug)]
pub struct Mutation {
    pub shape: Shape,
    /// The bytes of the source that it changes; of an [`Shape::Entry`] or [`Shape::Condition`] those that it is about.
    pub place: Range<usize>,
    /// Where code is put in, for the shapes that put some in.
    pub at: usize,
    /// The code that replaces the place, or is put in.
    pub code: String,
    /// What it does, for a reader.
    pub what: String,
    /// The function it is in, with its type.
    pub function: String,
    pub line: usize,
    pub column: usize,
}

/// Where the compiler finds a mutation in the source as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub id: Id,
    /// The mutated code.
    pub code: Range<usize>,
    /// The code of all that share its place, the original included.
    pub whole: Range<usize>,
}

/// A piece of code to put in, and what it tells about where mutations are.
struct Piece {
    at: usize,
    order: (u8, isize),
    code: String,
    /// Mutated code, as ranges of `code`.
    codes: Vec<(Id, Range<usize>)>,
    begins: Vec<Id>,
    ends: Vec<Id>,
}

/// Writes a source with all its mutations; `mutations` are those of this source, with their numbers.
///
/// The original comes first in each choice: it settles the type, and what does not fit it is an error in the mutated code.
pub fn write(source: &str, mutations: &[(Id, &Mutation)]) -> (String, Vec<Written>) {
    let mut pieces = Vec::new();
    let mut expressions: Vec<(Range<usize>, Vec<(Id, &Mutation)>)> = Vec::new();
    for (id, mutation) in mutations {
        match mutation.shape {
            Shape::Expression => match expressions.iter_mut().find(|(place, _)| *place == mutation.place) {
                Some((_, choices)) => choices.push((*id, mutation)),
                None => expressions.push((mutation.place.clone(), vec![(*id, mutation)])),
            },
            Shape::Statement => {
                let begin = format!("if !crate::mutant({id}) {{ ");
                pieces.extend(around(&mutation.place, begin, " }".to_owned(), Vec::new(), &[*id]));
            }
            Shape::Entry | Shape::Condition => {
                let code = match mutation.shape {
                    Shape::Entry => format!(" if crate::mutant({id}) {{ {} }} ", mutation.code),
                    _ => format!(" {} !crate::mutant({id})", mutation.code),
                };
                let codes = vec![(*id, 0..code.len())];
                pieces.push(Piece { at: mutation.at, order: (1, 0), code, codes, begins: vec![*id], ends: vec![*id] });
            }
        }
    }
    for (place, choices) in expressions {
        pieces.extend(choice(&place, &choices));
    }
    splice(source, pieces)
}

/// `(if none of them { original } else if the first { ... } else { the last })`.
fn choice(place: &Range<usize>, choices: &[(Id, &Mutation)]) -> [Piece; 2] {
    let none: Vec<String> = choices.iter().map(|(id, _)| format!("!crate::mutant({id})")).collect();
    let begin = format!("(if {} {{ (", none.join(" && "));
    let (mut end, mut codes) = (") }".to_owned(), Vec::new());
    for (index, (id, mutation)) in choices.iter().enumerate() {
        end += " else ";
        if index + 1 < choices.len() {
            let _ = write!(end, "if crate::mutant({id}) ");
        }
        end += "{ (";
        codes.push((*id, end.len()..end.len() + mutation.code.len()));
        end += &mutation.code;
        end += ") }";
    }
    end += ")";
    let ids: Vec<Id> = choices.iter().map(|(id, _)| *id).collect();
    around(place, begin, end, codes, &ids)
}

fn around(place: &Range<usize>, begin: String, end: String, codes: Vec<(Id, Range<usize>)>, ids: &[Id]) -> [Piece; 2] {
    let signed = |at: usize| -isize::try_from(at).unwrap_or(isize::MAX);
    [
        // Of places that begin together the longest comes first, of those that end together the shortest.
        Piece {
            at: place.start,
            order: (2, signed(place.end)),
            code: begin,
            codes: Vec::new(),
            begins: ids.to_vec(),
            ends: Vec::new(),
        },
        Piece {
            at: place.end,
            order: (0, signed(place.start)),
            code: end,
            codes,
            begins: Vec::new(),
            ends: ids.to_vec(),
        },
    ]
}

fn splice(source: &str, mut pieces: Vec<Piece>) -> (String, Vec<Written>) {
    pieces.sort_by_key(|piece| (piece.at, piece.order));
    let mut text = String::with_capacity(source.len() * 3);
    let mut written: Vec<Written> = Vec::new();
    let mut done = 0;
    for piece in pieces {
        text += &source[done..piece.at];
        done = piece.at;
        let start = text.len();
        text += &piece.code;
        written.extend(piece.begins.iter().map(|id| Written { id: *id, code: start..start, whole: start..start }));
        let codes = piece.codes.iter().map(|(id, code)| (*id, start + code.start..start + code.end));
        for (id, code) in codes {
            if let Some(of) = written.iter_mut().find(|of| of.id == id) {
                of.code = code;
            }
        }
        for of in written.iter_mut().filter(|of| piece.ends.contains(&of.id)) {
            of.whole.end = text.len();
        }
    }
    text += &source[done..];
    (text, written)
}

/// The mutations to do without where the compiler objects to these bytes: the one whose code that is, or else all that share
/// the closest place around it.
pub fn to_blame(written: &[Written], bytes: &Range<usize>) -> Vec<Id> {
    let within = |whole: &Range<usize>| whole.start <= bytes.start && bytes.end <= whole.end && !whole.is_empty();
    if let Some(of) = written.iter().filter(|of| within(&of.code)).min_by_key(|of| of.code.len()) {
        return vec![of.id];
    }
    let closest = written.iter().filter(|of| within(&of.whole)).map(|of| of.whole.clone()).min_by_key(Range::len);
    written.iter().filter(|of| Some(&of.whole) == closest.as_ref()).map(|of| of.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(shape: Shape, place: Range<usize>, code: &str) -> Mutation {
        let (at, code, what) = (place.end, code.to_owned(), String::new());
        Mutation { shape, place, at, code, what, function: String::new(), line: 0, column: 0 }
    }

    #[test]
    fn choices_stand_inside_one_another() {
        let source = "a < b && c";
        let mutations = [
            (1, &mutation(Shape::Expression, 0..10, "a < b || c")),
            (2, &mutation(Shape::Expression, 0..5, "a > b")),
            (3, &mutation(Shape::Expression, 0..5, "true")),
        ];
        let (text, written) = write(source, &mutations);
        assert_eq!(
            text,
            "(if !crate::mutant(1) { ((if !crate::mutant(2) && !crate::mutant(3) { (a < b) } else if crate::mutant(2) \
             { (a > b) } else { (true) }) && c) } else { (a < b || c) })"
        );
        let code = |id| written.iter().find(|of| of.id == id).map(|of| &text[of.code.clone()]);
        assert_eq!((code(1), code(2), code(3)), (Some("a < b || c"), Some("a > b"), Some("true")));
    }

    #[test]
    fn statements_and_conditions() {
        let source = "if let Some(a) = b { go(); }";
        let mutations = [(1, &mutation(Shape::Statement, 21..26, "")), (2, &mutation(Shape::Condition, 3..18, "&&"))];
        let (text, _) = write(source, &mutations);
        assert_eq!(text, "if let Some(a) = b && !crate::mutant(2) { if !crate::mutant(1) { go(); } }");
    }

    #[test]
    fn an_error_is_of_the_mutated_code_or_of_the_closest_place() {
        let source = "x + y";
        let mutations =
            [(1, &mutation(Shape::Expression, 0..5, "x - y")), (2, &mutation(Shape::Expression, 0..5, "x * y"))];
        let (text, written) = write(source, &mutations);
        let at = |code: &str| {
            let start = text.find(code).unwrap();
            to_blame(&written, &(start..start + code.len()))
        };
        assert_eq!((at("x - y"), at("x + y")), (vec![1], vec![1, 2]));
        assert_eq!(to_blame(&written, &(text.len()..text.len() + 3)), Vec::<Id>::new());
    }
}
