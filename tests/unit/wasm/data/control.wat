;; Every control instruction, with parameters and results of blocks, and code that is not reached.
(module
  (type $pair (func (param i32 i64) (result i64 i32)))
  (import "env" "log" (func $log (param i32)))
  (table 2 2 funcref)
  (elem (i32.const 0) $swap $loop)
  (func $swap (export "swap") (type $pair) local.get 1 local.get 0)
  (func $loop (param i32) (result i32)
    (local $sum i64)
    local.get 0
    loop $again (param i32) (result i32)
      local.tee 0
      i64.extend_i32_u
      local.get $sum
      i64.add
      local.set $sum
      local.get 0
      i32.const -1
      i32.add
      local.tee 0
      local.get 0
      br_if $again
    end)
  (func $choose (export "choose") (param i32) (result i64 i32)
    local.get 0
    if (result i64 i32)
      i32.const 7
      i64.const 8
      i32.const 0
      call_indirect (type $pair)
    else
      i64.const -1
      i32.const 2
      call $log
      i32.const 3
    end)
  (func $switch (export "switch") (param i32) (result f32)
    block $c
      block $b
        block $a (result f32)
          f32.const 1.5
          local.get 0
          i32.const 3
          i32.lt_u
          br_if $a
          drop
          local.get 0
          br_table $b $c $b $c
        end
        return
      end
      f32.const 2
      f32.const 3
      local.get 0
      select
      return
    end
    unreachable
    f32.add
    block (result f32)
      unreachable
      select
    end
    drop)
  (func $params (export "params") (param f64) (result f64)
    local.get 0
    i32.const 1
    if (param f64) (result f64)
      f64.neg
    end
    block (param f64) (result f64)
      nop
      br 0
      i32.const 1
      drop
    end)
  (start $nothing)
  (func $nothing))
