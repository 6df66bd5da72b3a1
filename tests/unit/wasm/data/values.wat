;; Numbers, conversions, locals, globals, memories and bulk memory instructions.
(module
  (import "env" "base" (global $base i32))
  (memory (export "memory") 1 4)
  (global $counter (mut i32) (i32.const 5))
  (global $far i64 (i64.const 0x123456789))
  (global $ratio (mut f64) (f64.const 0.25))
  (global $end i32 (i32.add (global.get $base) (i32.mul (i32.const 16) (i32.const 4))))
  (data (global.get $base) "abc")
  (data $kept "defghi")
  (func (export "integers") (param i32 i64) (result i64)
    (local i32 i32 i64 f32 f64)
    local.get 0 i32.clz local.get 0 i32.const 12345678 i32.rem_u i32.xor local.tee 2
    i32.extend8_s i64.extend_i32_s local.get 1 i64.rotl local.tee 4
    i64.const -9223372036854775808 i64.ge_s local.set 3
    local.get 4 i64.popcnt local.get 3 i64.extend_i32_u i64.sub i64.extend32_s)
  (func (export "floats") (param f32 f64) (result i32)
    local.get 0 f32.sqrt f64.promote_f32 local.get 1 f64.max f64.const nan f64.copysign
    global.get $ratio f64.mul global.set $ratio
    global.get $ratio i32.trunc_sat_f64_u
    local.get 0 i64.trunc_sat_f32_s i32.wrap_i64 i32.add
    local.get 0 i32.reinterpret_f32 i32.and
    local.get 1 i64.reinterpret_f64 i64.eqz i32.or)
  (func (export "memory-use") (param i32) (result i32)
    local.get 0 i64.load8_s offset=1000 local.get 0 f64.load align=4 drop
    drop
    local.get 0 local.get 0 i32.load16_u offset=70000 i32.store8
    local.get 0 f32.const 1 f32.store
    i32.const 8 i64.const 1 i64.store32 align=1
    i32.const 0 i32.const 1 i32.const 2 memory.init $kept
    data.drop $kept
    i32.const 10 i32.const 20 i32.const 30 memory.copy
    i32.const 10 i32.const 20 i32.const 30 memory.fill
    i32.const 1 memory.grow memory.size i32.sub
    global.get $end i32.add
    global.get $counter i32.const 1 i32.add global.set $counter))
