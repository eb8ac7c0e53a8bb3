//! Buffers under other ids.

use weft_ir::kernel::{Access, BufferId, Domain, Kernel, Place, Stmt, VarDef};

/// Renames the buffers of a kernel: `moved` has the new id for every old one. Those without one must not be mentioned.
pub(crate) fn move_buffers(kernel: &mut Kernel, moved: &[Option<BufferId>]) {
    for var in &mut kernel.vars {
        if let VarDef::Load(a) | VarDef::Entry(a) = &mut var.def {
            rename(a, moved);
        }
    }
    rename_all(&mut kernel.body, moved);
}

fn rename(access: &mut Access, moved: &[Option<BufferId>]) {
    if let Place::Buffer(b) = &mut access.place
        && let Some(Some(new)) = moved.get(b.index())
    {
        *b = *new;
    }
}

fn rename_all(stmts: &mut [Stmt], moved: &[Option<BufferId>]) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(_) => {}
            Stmt::Inst(inst) => inst.attrs.access.iter_mut().for_each(|a| rename(a, moved)),
            Stmt::Loop(l) => {
                if let Domain::List { list, .. } = &mut l.domain {
                    rename(list, moved);
                }
                rename_all(&mut l.body, moved);
            }
            Stmt::While(w) => rename_all(&mut w.body, moved),
            Stmt::If(i) => {
                rename_all(&mut i.then_body, moved);
                rename_all(&mut i.else_body, moved);
            }
        }
    }
}
