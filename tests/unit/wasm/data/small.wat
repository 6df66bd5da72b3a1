;; Every section once: what the scan tests cut off at each byte.
(module
  (type $t (func (param i32) (result i32)))
  (import "env" "f" (func $f (type $t)))
  (import "env" "g" (global $g i32))
  (table $tab 2 8 funcref)
  (memory 1 2)
  (global $own (mut i64) (i64.const -5))
  (export "run" (func $run))
  (export "memory" (memory 0))
  (start $init)
  (elem (i32.const 0) $run $f)
  (elem $passive funcref (ref.func $run) (ref.null func))
  (func $run (type $t) (local i64 f32)
    (block $out (result i32)
      local.get 0
      i32.const 3
      i32.lt_s
      if (result i32)
        i32.const 1
      else
        local.get 0
        call $f
      end
      i32.const 0
      br_table 0 0))
  (func $init
    i32.const 0 i32.const 0 i32.const 2 memory.init $bytes
    f64.const 1.5 drop)
  (data (i32.const 16) "hello")
  (data $bytes "ab"))
