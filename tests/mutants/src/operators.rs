//! Which operators, methods and values stand in for which. What a type does not allow the compiler drops later.

use syn::{BinOp, PathArguments, ReturnType, Type};

/// Operators that stand in for one.
pub fn instead_of(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">"],
        BinOp::Le(_) => &["<", ">="],
        BinOp::Gt(_) => &[">=", "<"],
        BinOp::Ge(_) => &[">", "<="],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["/", "+"],
        BinOp::Div(_) => &["*", "%"],
        BinOp::Rem(_) => &["/"],
        BinOp::BitAnd(_) => &["|"],
        BinOp::BitOr(_) => &["&"],
        BinOp::BitXor(_) => &["|"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::MulAssign(_) => &["/="],
        BinOp::DivAssign(_) => &["*="],
        BinOp::BitAndAssign(_) => &["|="],
        BinOp::BitOrAssign(_) => &["&="],
        BinOp::BitXorAssign(_) => &["|="],
        _ => &[],
    }
}

/// Pairs of methods of which each stands in for the other.
const SIBLINGS: [(&str, &str); 24] = [
    ("all", "any"),
    ("back", "front"),
    ("back_mut", "front_mut"),
    ("checked_add", "checked_sub"),
    ("ends_with", "starts_with"),
    ("first", "last"),
    ("first_entry", "last_entry"),
    ("first_key_value", "last_key_value"),
    ("is_err", "is_ok"),
    ("is_none", "is_some"),
    ("is_none_or", "is_some_and"),
    ("max", "min"),
    ("max_by", "min_by"),
    ("max_by_key", "min_by_key"),
    ("next", "next_back"),
    ("pop_back", "pop_front"),
    ("pop_first", "pop_last"),
    ("push_back", "push_front"),
    ("saturating_add", "saturating_sub"),
    ("saturating_mul", "saturating_add"),
    ("split_once", "rsplit_once"),
    ("strip_prefix", "strip_suffix"),
    ("wrapping_add", "wrapping_sub"),
    ("wrapping_mul", "wrapping_add"),
];

/// Methods that stand in for one.
pub fn siblings(method: &str) -> impl Iterator<Item = &'static str> {
    SIBLINGS.into_iter().filter_map(move |(one, other)| match method {
        _ if method == one => Some(other),
        // A product has no second way back from the sum.
        _ if method == other && !one.ends_with("_mul") => Some(one),
        _ => None,
    })
}

/// Whether what a method is called on may stand in for its answer.
pub fn may_be_left_out(method: &str, arguments: usize) -> bool {
    match method {
        "min" | "max" | "or" | "or_else" | "xor" => arguments == 1,
        "reverse" | "then" | "then_with" => true,
        _ => false,
    }
}

/// Whether a method takes a closure that says yes or no.
pub fn takes_a_condition(method: &str) -> bool {
    matches!(
        method,
        "all"
            | "any"
            | "filter"
            | "find"
            | "is_none_or"
            | "is_ok_and"
            | "is_some_and"
            | "partition"
            | "partition_point"
            | "position"
            | "retain"
            | "skip_while"
            | "take_while"
    )
}

/// What a function of this type may answer at once, as Rust. Empty where nothing comes to mind.
pub fn answers(output: &ReturnType) -> Vec<String> {
    match output {
        ReturnType::Default => vec![String::new()],
        ReturnType::Type(_, answer) => values(answer),
    }
}

fn values(of: &Type) -> Vec<String> {
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    match of {
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Vec::new() };
            match last.ident.to_string().as_str() {
                "bool" => strings(&["true", "false"]),
                "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => {
                    strings(&["0", "1"])
                }
                "String" => strings(&["String::new()", "String::from(\"other\")"]),
                "Ordering" => strings(&["std::cmp::Ordering::Equal", "std::cmp::Ordering::Less"]),
                "Result" => match &last.arguments {
                    PathArguments::AngleBracketed(of) => match of.args.first() {
                        Some(syn::GenericArgument::Type(fine)) => {
                            values(fine).into_iter().map(|value| format!("Ok({value})")).collect()
                        }
                        _ => strings(&["Ok(())"]),
                    },
                    _ => strings(&["Ok(())"]),
                },
                _ => strings(&["Default::default()"]),
            }
        }
        Type::Tuple(tuple) => {
            // Of each part the first that comes to mind.
            let parts: Option<Vec<String>> = tuple.elems.iter().map(|part| values(part).into_iter().next()).collect();
            parts.map(|parts| vec![format!("({})", parts.join(", "))]).unwrap_or_default()
        }
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => strings(&["\"\"", "\"other\""]),
            Type::Slice(_) if reference.mutability.is_none() => strings(&["&[]"]),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Whether code already says what a default would.
pub fn is_a_default(code: &str) -> bool {
    matches!(code, "None" | "false" | "0" | "\"\"" | "Vec::new()" | "Duration::ZERO")
        || code.ends_with("::new()")
        || code.ends_with("::default()")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sibling_has_one() {
        assert_eq!(siblings("min").collect::<Vec<_>>(), ["max"]);
        assert_eq!(siblings("any").collect::<Vec<_>>(), ["all"]);
        assert_eq!(siblings("saturating_add").collect::<Vec<_>>(), ["saturating_sub"]);
        assert_eq!(siblings("len").count(), 0);
    }

    #[test]
    fn answers_follow_the_type() {
        let of = |signature: &str| {
            let function: syn::Signature = syn::parse_str(signature).unwrap();
            answers(&function.output)
        };
        assert_eq!(of("fn f()"), [""]);
        assert_eq!(of("fn f() -> bool"), ["true", "false"]);
        assert_eq!(of("fn f() -> Result<u32, Error>"), ["Ok(0)", "Ok(1)"]);
        assert_eq!(of("fn f() -> fmt::Result"), ["Ok(())"]);
        assert_eq!(of("fn f() -> (u32, Option<Ask>)"), ["(0, Default::default())"]);
        assert_eq!(of("fn f() -> &Registry"), Vec::<String>::new());
        assert_eq!(of("fn f() -> impl Iterator<Item = u32>"), Vec::<String>::new());
    }
}
