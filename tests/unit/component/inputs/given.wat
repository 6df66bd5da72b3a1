;; Wants a component from the host, in an instance, and instantiates it.
(component
  (import "parts" (instance $parts
    (export "part" (component (export "f" (func))))))
  (alias export $parts "part" (component $part))
  (instance $i (instantiate $part))
  (export "f" (func $i "f"))
)
