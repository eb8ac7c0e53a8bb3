//! `weft explain`

use super::Folder;
use weft::diagnostics::Code;

#[test]
fn pages_and_the_list() {
    let folder = Folder::new();
    let list = folder.weft(&["explain"]).good().stdout();
    assert_eq!(list.lines().count(), Code::all().count());
    let page = folder.weft(&["explain", "e0201"]).good().stdout();
    assert_eq!(page, Code::parse("E0201").unwrap().page());
    let json = folder.weft(&["explain", "E0601", "--json"]).good().json();
    assert_eq!(json["title"], Code::parse("E0601").unwrap().title());
    assert_eq!(folder.weft(&["explain", "--json"]).good().json()["codes"][0]["code"], "E0001");
    folder.weft(&["explain", "E9999"]).fails(1, "E0521");
    folder.weft(&["explain", "layer.weft"]).fails(1, "E0510");
}

#[test]
fn a_derivation() {
    let folder = Folder::new();
    let layer = "layer l { size D = 8, V = 8 axis b, t: time index j: t, d: D, v: V in q[b,t,d], k[b,t,d], x[b,t,v]
                 out y[b,t,v] = sum(j: sum(d: q * k[b,j,d]) * x[b,j,v] where j <= t) }";
    folder.write("l.weft", layer);
    let text = folder.weft(&["explain", "l.weft"]).good().stdout();
    for part in ["1. merge sums", "carry over blocks", "S[b, d, v, t // 64 - 1]", "T^2.0 as written, T^1.0 as computed"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let costs = folder.weft(&["explain", "l.weft", "--cost"]).good().stdout();
    assert!(!costs.contains("merge sums") && costs.contains("131072"), "{costs}");
    let told = folder.weft(&["explain", "l.weft", "--derivation", "--json"]).good().json();
    assert!(told["explanation"].as_str().is_some_and(|t| !t.contains("131072")));
    folder.weft(&["explain", "l.weft", "--grad"]).good();
    folder.weft(&["explain", "l.weft", "--state"]).fails(1, "E0604");
    folder.weft(&["explain", "l.weft", "--html", "missing/l.html"]).fails(1, "E0510");
    folder.weft(&["explain", "l.weft", "--html", "l.html"]).good();
    let page = folder.text("l.html");
    for part in
        ["<svg", "class=\"near\"", "class=\"seen\"", "carry over blocks", "as computed", "<polyline", "<summary>"]
    {
        assert!(page.contains(part), "no {part:?} in the page");
    }
    for foreign in ["http:", "https:", "src=", "href="] {
        assert!(!page.contains(foreign), "the page needs {foreign:?}");
    }
    // Every element that is opened is closed.
    for tag in [
        "html", "body", "h1", "h2", "p", "pre", "ol", "li", "figure", "svg", "table", "tr", "td", "details", "div",
        "span",
    ] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
}
