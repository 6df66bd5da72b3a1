;; Tables and references of both types, element segments of every form.
(module
  (import "env" "f" (func $f (result i32)))
  (import "env" "t" (table $imported 1 externref))
  (table $own (export "own") 4 10 funcref)
  (table $other 2 externref)
  (global $any (mut externref) (ref.null extern))
  (global $fn funcref (ref.func $f))
  (elem (table $own) (i32.const 1) func $f $g)
  (elem (table $own) (i32.const 0) funcref (ref.func $g) (ref.null func))
  (elem $passive func $f)
  (elem $nulls externref (ref.null extern))
  (elem declare func $declared)
  (func $g (result i32)
    ref.func $declared
    ref.is_null
    i32.const 0
    table.get $own
    ref.is_null
    i32.add)
  (func $declared (export "use") (param externref) (result externref)
    i32.const 0
    local.get 0
    table.set $other
    i32.const 0 i32.const 0 i32.const 1 table.init $own $passive
    i32.const 0 i32.const 0 i32.const 1 table.init $other $nulls
    elem.drop $passive
    i32.const 0 i32.const 0 i32.const 1 table.copy $other $imported
    local.get 0
    i32.const 2
    table.grow $other
    drop
    i32.const 0
    global.get $fn
    table.size $own
    table.fill $own
    global.get $any
    local.get 0
    i32.const 0
    call_indirect $own (result i32)
    select (result externref)
    global.set $any
    global.get $any))
