// Creates and updates elements. Text is never parsed as markup.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Creates an element. An attribute whose value is a function is a listener (`on…`); an attribute
 * `--…` is a CSS property.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Creates an SVG element.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/**
 * @template {HTMLElement | SVGElement} Target
 * @param {Target} target
 * @param {Record<string, unknown>} attributes
 * @param {Child[]} children
 */
function fill(target, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      target.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (name.startsWith("--")) {
      target.style.setProperty(name, String(value));
    } else if (value === true) {
      target.setAttribute(name, "");
    } else if (value !== false && value !== undefined && value !== null) {
      target.setAttribute(name, String(value));
    }
  }
  target.append(...toNodes(children));
  return target;
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function toNodes(children) {
  return children
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * Replaces the children of an element. Children in both lists keep focus and state.
 *
 * @param {Element} parent
 * @param {Element[]} children
 */
export function updateChildren(parent, children) {
  const next = new Set(children);
  for (const child of [...parent.children]) {
    if (!next.has(child)) child.remove();
  }
  children.forEach((child, index) => {
    const current = parent.children[index];
    if (current !== child) parent.insertBefore(child, current ?? null);
  });
}

/**
 * The element with an id. Throws if it is missing or of another class.
 *
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`no element ${id}`);
  return element;
}
