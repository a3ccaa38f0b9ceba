use super::*;

fn found(source: &str) -> Vec<String> {
    let file = syn::parse_file(source).unwrap();
    let mut constants = Constants::new();
    add_constants(&file, &mut constants);
    mutations(source, &file, &constants).into_iter().map(|mutation| mutation.what).collect()
}

/// What is found in the body of a function that answers what nothing comes to mind for.
fn within(body: &str) -> Vec<String> {
    found(&format!("fn f() -> &Answer {{ {body} }}"))
}

#[test]
fn functions_answer_at_once() {
    assert_eq!(found("fn f() -> bool { it() }"), ["answers true at once", "answers false at once"]);
    assert_eq!(found("impl A { fn f() -> Option<u32> { it() } }"), ["answers Default::default() at once"]);
    assert_eq!(found("impl Default for A { fn default() -> A { it() } }"), Vec::<String>::new());
}

#[test]
fn operators_and_literals() {
    assert_eq!(within("a == b"), ["a == b -> (a) != (b)"]);
    assert_eq!(within("a < 2"), ["a < 2 -> (a) <= (2)", "a < 2 -> (a) > (2)", "2 -> 3", "2 -> 1"]);
    assert_eq!(within("!a"), ["!a -> a"]);
    assert_eq!(within("a.min(b)"), ["a.min(b) -> a.max(b)", "a.min(b) -> a"]);
    assert_eq!(within("0..n"), ["0 -> 1", "n -> (n) + 1"]);
}

#[test]
fn each_part_of_a_conjunction_matters() {
    let parts = within("a() && b() && c()");
    for part in ["a() -> true", "b() -> true", "c() -> true"] {
        assert!(parts.contains(&part.to_owned()), "{parts:?}");
    }
}

#[test]
fn conditions_that_bind_never_hold() {
    let conditions = within("if let Some(a) = b && c { d } else { e }");
    assert_eq!(conditions, ["let Some(a) = b && c never holds", "c -> true"]);
}

#[test]
fn statements_go() {
    assert_eq!(
        within("a.go(); b += c; d"),
        ["without a.go()", "b += c -> b -= c", "b += c -> b *= c", "without b += c"]
    );
    assert_eq!(found("fn f() { if a { b() } }"), ["answers nothing at once", "a -> true", "a -> false", "b() -> ()"]);
}

#[test]
fn what_leads_out_of_a_block_stays() {
    assert_eq!(within("let Some(a) = b else { c(); continue; }; a"), ["without c()"]);
}

#[test]
fn arms_go_where_another_catches_all() {
    assert_eq!(within("match a { B => c, _ => d }"), ["B never holds"]);
    assert_eq!(within("match a { B => c, D => e }"), Vec::<String>::new());
    assert_eq!(within("match a { B if c => d, D => e }"), ["c -> true", "c -> false"]);
}

#[test]
fn closures_that_say_yes_or_no() {
    assert_eq!(within("a.filter(|b| b.c())"), ["b.c() -> true", "b.c() -> false"]);
    assert_eq!(
        within("a.any(|b| { c; b.d() })"),
        ["a.any(|b| { c; b.d() }) -> a.all(|b| { c; b.d() })", "answers true at once", "answers false at once"]
    );
}

#[test]
fn matches_and_its_guard() {
    assert_eq!(
        within("matches!(a, Some(b) if b)"),
        ["matches!(a, Some(b) if b) -> !matches!(a, Some(b) if b)", "b -> true", "b -> false"]
    );
}

#[test]
fn constants_at_their_use() {
    assert_eq!(found("const MANY: usize = 3; fn f() -> &Answer { a(MANY) }"), ["MANY -> MANY + 1", "MANY -> MANY - 1"]);
}

#[test]
fn tests_and_patterns_stay_as_they_are() {
    assert_eq!(found("#[cfg(test)] mod tests { fn f() -> bool { a == 1 } }"), Vec::<String>::new());
    assert_eq!(found("#[cfg(test)] fn f() -> bool { a == 1 }"), Vec::<String>::new());
    assert_eq!(within("match a { 1 => b, 2 => c, d => e }"), ["1 never holds", "2 never holds"]);
}
