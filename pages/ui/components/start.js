// Start Streamlit's app once its font is here. A row of controls can break into other lines in the font that
// stands in for it, and everything below would jump. A font that does not come at all is let go.
const PATIENCE = 10_000;
const font = document.fonts.load('1em "Source Sans"').catch(() => {});
await Promise.race([font, new Promise((done) => setTimeout(done, PATIENCE))]);
await import(document.querySelector("link[data-app]").href);
