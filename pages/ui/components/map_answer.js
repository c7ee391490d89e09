// What Python says about the map (map.py): the choices in the address, and the card of a hovered point.

export default function ({ data }) {
  bus.message = data;
  bus.dispatchEvent(new Event("message"));
  return () => {
    if (bus.message === data) bus.message = null; // another visit of the page begins without it
  };
}
