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
    folder.weft(&["explain", "layer.weft"]).fails(1, "E0604");
}
