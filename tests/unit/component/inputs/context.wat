;; Each call has context slots of its own, and so has a destructor.
(component
  (component $Callee
    (core func $get (canon context.get i32 0))
    (core func $set (canon context.set i32 0))
    (core module $D
      (import "" "get" (func $get (result i32)))
      (import "" "set" (func $set (param i32)))
      (func (export "dtor") (param i32) (if (call $get) (then unreachable)) (call $set (i32.const 9)))
      ;; 100 times what it finds, and what it leaves.
      (func (export "f") (result i32)
        (local $found i32)
        (local.set $found (call $get))
        (call $set (i32.const 7))
        (i32.add (i32.mul (local.get $found) (i32.const 100)) (call $get))))
    (core instance $d (instantiate $D (with "" (instance
      (export "get" (func $get)) (export "set" (func $set))))))
    (type $r' (resource (rep i32) (dtor (core func $d "dtor"))))
    (export $r "r" (type $r'))
    (core func $new (canon resource.new $r'))
    (core func $drop (canon resource.drop $r'))
    (core module $S
      (import "" "new" (func $new (param i32) (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (func $start (call $drop (call $new (i32.const 3))))
      (start $start))
    (core instance (instantiate $S (with "" (instance
      (export "new" (func $new)) (export "drop" (func $drop))))))
    (func (export "make") (param "n" u32) (result (own $r)) (canon lift (core func $new)))
    (func (export "f") (result u32) (canon lift (core func $d "f"))))
  (component $Caller
    (import "callee" (instance $callee
      (export "r" (type $r (sub resource)))
      (export "make" (func (param "n" u32) (result (own $r))))
      (export "f" (func (result u32)))))
    (alias export $callee "r" (type $r))
    (core func $get (canon context.get i32 0))
    (core func $set (canon context.set i32 0))
    (core func $drop (canon resource.drop $r))
    (core func $make (canon lower (func $callee "make")))
    (core func $f (canon lower (func $callee "f")))
    (core module $M
      (import "" "get" (func $get (result i32)))
      (import "" "set" (func $set (param i32)))
      (import "" "drop" (func $drop (param i32)))
      (import "" "make" (func $make (param i32) (result i32)))
      (import "" "f" (func $f (result i32)))
      ;; Before any call: it must not count as one.
      (func $start (call $drop (call $make (i32.const 2))))
      (start $start)
      (func (export "run") (result i32)
        (local $result i32)
        (if (call $get) (then unreachable))
        (call $set (i32.const 5))
        (local.set $result (call $f))
        (call $drop (call $make (i32.const 1)))
        (i32.add (i32.mul (call $get) (i32.const 10)) (local.get $result))))
    (core instance $m (instantiate $M (with "" (instance
      (export "get" (func $get)) (export "set" (func $set)) (export "drop" (func $drop))
      (export "make" (func $make)) (export "f" (func $f))))))
    (func (export "run") (result u32) (canon lift (core func $m "run"))))
  (instance $callee (instantiate $Callee))
  (instance $caller (instantiate $Caller (with "callee" (instance $callee))))
  (export "run" (func $caller "run"))
)
