"""The page's frame: the stage is the page, so Streamlit's own space goes."""

CSS = """
<style>
[data-testid="stHeader"] { display: none; }
[data-testid="stMainBlockContainer"] { padding: 0 0 2rem; gap: 0; max-width: none; }
[data-testid="stMainBlockContainer"] > div > [data-testid="stVerticalBlock"],
[data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"] { gap: 0; }
[data-stale="true"] { opacity: 1 !important; transition: none !important; }
.st-key-nav { padding: 0 20px; min-height: 38px;
  border-bottom: 1px solid var(--st-border-color, #8883); }
.st-key-nav .wordmark { font-weight: 700; font-size: 15px; line-height: 37px; margin-right: 10px; }
.st-key-nav [data-testid="stPageLink-NavLink"] { padding: 0 2px; height: 37px; margin: 0 6px;
  border-radius: 0; background: none; border-bottom: 2px solid transparent; }
.st-key-nav [data-testid="stPageLink-NavLink"] p { font-size: 14px; opacity: 0.75; }
.st-key-here [data-testid="stPageLink-NavLink"] {
  border-bottom-color: light-dark(#1c2233, #e6ebf2); }
.st-key-here [data-testid="stPageLink-NavLink"] p { opacity: 1; font-weight: 600; }
.st-key-nav button { min-height: 30px; padding: 0 4px; }
.st-key-bar { padding: 8px 20px 6px; align-items: center; }
.st-key-bar button { min-height: 36px; padding: 2px 11px; white-space: nowrap; }
.st-key-bar [data-baseweb="select"] > div { min-height: 36px; height: 36px; }
.st-key-bar [data-testid="stBaseButton-primary"] p { color: light-dark(#fff, #11161d); }
.st-key-question button { min-height: 24px; padding: 0; white-space: nowrap; opacity: 0.8; }
.st-key-queue p { font-size: 16px; }
.st-key-question { padding: 0 20px 7px; min-height: 28px; }
.st-key-question [data-testid="stMarkdownContainer"] { margin: 0; }
.st-key-question p { margin: 0; font-size: 14px; line-height: 1.5; opacity: 0.8; }
.st-key-viewport { display: none; }
.st-key-notes, .st-key-opening { padding: 0 20px; }
.st-key-opening { padding-top: 8px; }
.st-key-notes:not(:empty) { padding-bottom: 8px; }
.st-key-runbar { padding: 0 20px; height: 26px; font-size: 14px; line-height: 25px;
  border-top: 1px solid var(--st-border-color, #8883); }
.st-key-runbar-away { display: none; }
.st-key-view [data-testid="stVerticalBlock"] { gap: 0; }
.st-key-view { gap: 0; border-top: 1px solid var(--st-border-color, #8883); }
.st-key-page { padding: 12px 20px 14px; border-top: 1px solid var(--st-border-color, #8883); }
.st-key-page, .st-key-page-moments { gap: 6px; }
.st-key-page-moments { padding: 0 20px 14px; }
.st-key-take [data-testid="stVerticalBlock"], .st-key-take { gap: 6px; }
.st-key-page h3 { font-size: 18px; padding: 14px 0 22px; }
.stApp :is(button, label, [data-testid="stCaptionContainer"]) p,
.stApp :is([data-baseweb="select"] > div, input, textarea) { font-size: 14px; }
.stApp :is([data-testid="stSliderThumbValue"], [data-testid="stSliderTickBar"]) p {
  font-size: 14px; }
.stApp [data-testid="stCaptionContainer"] { color: inherit; opacity: 0.8; }
.stApp [data-testid="stMarkdownContainer"] code { font-size: 14px; color: inherit;
  background: none; padding: 0; }
.stApp :is(a, button, [role="slider"], [tabindex]):focus-visible,
.stApp :is([data-baseweb="select"], [data-baseweb="input"], [data-baseweb="textarea"],
  [data-testid="stNumberInputContainer"],
  [data-testid="stTextAreaRootElement"]):has(:focus-visible) {
  outline: 2px solid light-dark(#1c2233, #e6ebf2); outline-offset: 1px; }
.st-key-take button { padding: 2px 8px; }
.st-key-take button p { white-space: nowrap; }
.st-key-headline p { font-size: 20px; line-height: 1.4; }
.st-key-below { padding: 20px; }
.st-key-budget { margin-bottom: 6px; }
@media (min-width: 1500px) and (min-height: 860px) {
  .st-key-page [data-testid="stVegaLiteChart"] svg { width: calc(100vw - 40px); height: auto; }
  .st-key-chart-ecdf { max-width: 1160px; }
  .st-key-chart-ecdf [data-testid="stVegaLiteChart"] svg {
    width: min(100vw - 560px, 1160px); height: auto; } }
</style>
"""
